"""A server, programs and the command line as processes of their own, as users run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from controlplane.gen.steplane.v1 import run_pb2, run_pb2_grpc

PROGRAMS = Path(__file__).with_name("programs")
STEPLANE = [sys.executable, "-m", "controlplane"]
SECONDS_MAX = 60.0


class Place:
    """A folder with a server's file, and the processes around it."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self._flags = flags
        self.database = folder / "steplane.db"
        self.address = ""
        self._server: subprocess.Popen[bytes] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    def start_server(self) -> None:
        """Start the server, and wait until it takes calls."""
        ready = self.folder / "ready"
        self._server = self._start([*self._serve, "--ready-file", str(ready)])
        wait_until(ready.exists)
        self.address = ready.read_text().strip()

    def start_doomed_server(self, failpoint: str) -> None:
        """Start a server that is killed where the failpoint says, and wait for its end."""
        doomed = self._start([*self._serve, "--failpoint", failpoint])
        assert doomed.wait(SECONDS_MAX) == -signal.SIGKILL

    def stop_server(self) -> None:
        """Stop it as an operator does."""
        assert self._server is not None
        self._server.send_signal(signal.SIGTERM)
        assert self._server.wait(SECONDS_MAX) == 0

    def start_program(self, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a worker in Python, and wait until the server knows it."""
        return self.start_serving([sys.executable, PROGRAMS / name, *arguments])

    def start_serving(self, command: Sequence[object]) -> subprocess.Popen[bytes]:
        """Start a worker by any command, and wait until the server knows it."""
        worker = self.start_worker(command)
        wait_until(lambda: any(function["live_sessions"] for function in self.steplane("functions")))
        return worker

    def start_worker(self, command: Sequence[object]) -> subprocess.Popen[bytes]:
        """Start a worker by any command."""
        return self._start(list(map(str, command)))

    def steplane(self, *arguments: str) -> list[Any]:
        """What a command prints with --json."""
        done = subprocess.run(
            [*STEPLANE, *arguments, "--json"], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def tree(self, event_id: str) -> Tree:
        """All that came of an event, once every run of it has ended."""

        def is_over() -> bool:
            found = self.lineage(event_id).runs
            return len(found) > 0 and all(run.HasField("end_time") for run in found)

        wait_until(is_over)
        lineage = self.lineage(event_id)
        with grpc.insecure_channel(self.address) as channel:
            service = run_pb2_grpc.RunServiceStub(channel)
            # A lineage is without outputs, which may be large.
            requests = [run_pb2.GetRunRequest(run_id=run.id) for run in lineage.runs]
            return Tree(lineage, [service.GetRun(request).run for request in requests])

    def lineage(self, event_id: str) -> run_pb2.GetLineageResponse:
        """All that came of an event so far."""
        with grpc.insecure_channel(self.address) as channel:
            request = run_pb2.GetLineageRequest(event_id=event_id)
            return run_pb2_grpc.RunServiceStub(channel).GetLineage(request)

    def close(self) -> None:
        """Leave no process behind; programs end as they do at SIGTERM."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def _serve(self) -> list[str]:
        return [*STEPLANE, "serve", "--db", str(self.database), "--listen", "127.0.0.1:0", *self._flags]

    @property
    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("STEPLANE_")}
        return clean | {"STEPLANE_ADDRESS": self.address}

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        self._processes.append(process)
        return process


class Tree:
    """A lineage, with what it is made of by name."""

    def __init__(self, lineage: run_pb2.GetLineageResponse, runs: list[run_pb2.Run]) -> None:
        assert not lineage.truncated
        self.events = {record.event.id: record for record in lineage.events}
        self.runs = runs
        self._journals = {journal.run_id: journal.entries for journal in lineage.journals}

    def runs_of(self, function_id: str) -> list[run_pb2.Run]:
        """All runs of a function."""
        return [run for run in self.runs if run.function_id == function_id]

    def steps(self, run: run_pb2.Run) -> dict[str, run_pb2.JournalEntry]:
        """The recorded steps of a run by their keys, in the order in which they were recorded."""
        return {entry.step_key: entry for entry in self._journals[run.id]}

    def traceparents(self) -> Iterator[str]:
        """Of every event, run and step."""
        yield from (record.event.traceparent for record in self.events.values())
        yield from (run.traceparent for run in self.runs)
        yield from (entry.traceparent for entries in self._journals.values() for entry in entries)


def wait_until(is_met: Callable[[], bool]) -> None:
    """Look again and again, for up to a minute."""
    until = time.monotonic() + SECONDS_MAX
    while not is_met():
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.02)
