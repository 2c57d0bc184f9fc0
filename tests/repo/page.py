"""A page of the documentation as a program: its Python blocks are run, and what its commands print is compared.

All ```python blocks of a page are one program, in order; `await` may stand at the top. In a ```console block each line that
begins with `$` is a command, `steplane` or `curl`, run against the page's own server; what stands below it is what it has to
print, where `…` stands for anything in a line, and a line of `…` for any lines. A worker serves the functions that were defined so far.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, Self

import grpc

import steplane
from controlplane.gen.steplane.v1 import function_pb2_grpc, run_pb2, run_pb2_grpc
from steplane.gen.steplane.v1 import function_pb2

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]

_HTTP_URL = "http://127.0.0.1:7101"
"""Where pages send events over HTTP."""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    line: int
    """The line of the page that it begins in."""


def blocks(path: Path, *languages: str) -> list[Block]:
    """The blocks of a page that are in one of these languages."""
    page = path.read_text()
    found = (Block(match[1], match[2], page.count("\n", 0, match.start(2)) + 1) for match in _BLOCK.finditer(page))
    return [block for block in found if block.language in languages]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a console block, with what it has to print."""
    command = ""
    expected: list[str] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(expected)
            command, expected = line[2:], []
        else:
            expected.append(line)
    yield command, "\n".join(expected)


def is_like(printed: str, expected: str) -> bool:
    """Whether a text is what a page shows, leaving out what it leaves out."""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line.strip() == "…"
        else ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + "\n"
        for line in expected.strip("\n").splitlines()
    )
    text = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None


@dataclass
class Program:
    """The run of one page, against one server."""

    path: Path
    address: str
    http_url: str
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    _served: set[str] = field(default_factory=set)
    _workers: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._workers.aclose()

    async def run(self, block: Block) -> None:
        """Run a block, or its commands."""
        if block.language == "python":
            await self._run_python(block)
            return
        await self.serve()
        for command, expected in commands(block):
            printed = await asyncio.to_thread(self._print, command)
            # On a page without functions nobody works on its runs but its own commands.
            if self._served:
                await asyncio.to_thread(self._rest)
            assert is_like(printed, expected), f"{self.path.name}:{block.line}: {command} printed\n{printed}"

    async def serve(self) -> None:
        """Register the functions that are new, and start a worker for them."""
        clients = {id(value): value for value in self.names.values() if isinstance(value, steplane.Steplane)}
        for client in clients.values():
            new = [function for function in client._functions.values() if function.id not in self._served]
            if new:
                await asyncio.to_thread(self._register, [function.definition for function in new])
                self._served |= {function.id for function in new}
                worker = client.worker(functions=new)
                task = asyncio.create_task(worker.run_async())
                self._workers.push_async_callback(asyncio.wait_for, task, 20)
                self._workers.callback(worker.stop)

    async def _run_python(self, block: Block) -> None:
        # Errors and warnings name the page and its line.
        code = compile("\n" * (block.line - 1) + block.text, str(self.path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        assert isinstance(code, CodeType)
        result = eval(code, self.names)
        if inspect.iscoroutine(result):
            await result

    def _register(self, definitions: list[function_pb2.FunctionDefinition]) -> None:
        with grpc.insecure_channel(self.address) as channel:
            stub = function_pb2_grpc.FunctionServiceStub(channel)
            for definition in definitions:
                stub.RegisterFunction(function_pb2.RegisterFunctionRequest(definition=definition))

    def _print(self, command: str) -> str:
        program, *arguments = shlex.split(command)
        environment = {**os.environ, "COLUMNS": "110"}
        if program == "curl":
            whole = ["curl", *(argument.replace(_HTTP_URL, self.http_url) for argument in arguments)]
        else:
            assert program == "steplane", f"{command}: only steplane and curl are run"
            whole = [
                sys.executable,
                "-m",
                "controlplane",
                *arguments,
                *([] if "--json" in arguments else ["--no-json"]),
            ]
        done = subprocess.run(
            whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False
        )
        return done.stdout

    def _rest(self) -> None:
        """Return once no run is queued or running, so that what a page shows does not depend on how fast it goes."""
        states = [run_pb2.RUN_STATE_QUEUED, run_pb2.RUN_STATE_RUNNING]
        with grpc.insecure_channel(self.address) as channel:
            runs = run_pb2_grpc.RunServiceStub(channel)
            while live := runs.ListRuns(run_pb2.ListRunsRequest(states=states)).runs:
                watch = runs.WatchRun(run_pb2.WatchRunRequest(run_id=live[0].id), timeout=30)
                next(told for told in watch if told.run.state not in states)
                watch.cancel()
