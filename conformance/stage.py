"""The processes of a play: servers, and workers under test. Each has a log of its own in one folder."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shlex
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from conformance.case import Patience

#: For what is there in a second or two, even if the machine is very busy.
START_SECONDS_MAX: Final = 120
END_SECONDS_MAX: Final = 60

#: Options of a channel to a server that goes and comes again: gRPC itself waits longer with every failure.
RECONNECTS_SOON: Final = (
    *(("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100)),
    *(("grpc.max_reconnect_backoff_ms", 200), ("grpc.use_local_subchannel_pool", 1)),
)

#: Small limits, so that passing one is cheap.
_SERVER: Final = (
    *("--step-output-bytes-max", "64KiB", "--event-bytes-max", "64KiB"),
    *("--batch-events-max", "20", "--batch-bytes-max", "128KiB", "--frame-bytes-max", "256KiB"),
    *("--run-steps-max", "60", "--journal-bytes-max", "2MiB"),
    *("--log-format", "json", "--log-level", "info"),
)
#: A lease that two heartbeats lack was lost, so they are far apart where a worker may be slow to read what it is given.
_RARE_HEARTBEATS: Final = ("--heartbeat-interval", "20s", "--session-timeout", "15m")
_PATIENCE: Final = {
    Patience.LONG: (*_RARE_HEARTBEATS, "--session-grace", "15m"),
    Patience.WITH_THE_CONNECTED: (*_RARE_HEARTBEATS, "--session-grace", "200ms"),
    # More than any worker is held up for, on a machine that is just busy.
    Patience.SHORT: ("--heartbeat-interval", "2s", "--session-timeout", "8s", "--session-grace", "200ms"),
}


class StageError(Exception):
    """A process did not do what it has to. The message has what it wrote last."""


class Program:
    """One process, in a group of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Program:
        """Start it; all that it writes goes into the log."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("STEPLANE_")}
        with log.open("ab") as stream:
            process = await asyncio.create_subprocess_exec(
                *command, env=clean | dict(environment), stdout=stream, stderr=stream, start_new_session=True
            )
        return cls(process, log)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    def kill(self, number: signal.Signals) -> None:
        """Give it a signal, and all that it started: a worker may be a script that runs the real one."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Give it a signal and wait for its end. Raises `StageError` if that does not come."""
        self.kill(number)
        return await self.ended()

    async def ended(self) -> int:
        """Its status, once it has ended. Raises `StageError` if it does not."""
        try:
            return await asyncio.wait_for(self._process.wait(), END_SECONDS_MAX)
        except TimeoutError:
            self.kill(signal.SIGKILL)
            await self._process.wait()
            raise StageError(f"it did not end within {END_SECONDS_MAX} s of its signal; {self.last_words()}") from None

    async def wait(self) -> int:
        """Wait for its end."""
        return await self._process.wait()

    def last_words(self) -> str:
        """What it wrote last."""
        lines = self._log.read_text(errors="replace").strip().splitlines()[-12:]
        return "\n".join(["it wrote last:", *lines]) if lines else "it wrote nothing"


class Server:
    """A control plane on a file and a port of its own, which it keeps when it starts again."""

    def __init__(self, folder: Path, patience: Patience) -> None:
        folder.mkdir()
        self._folder = folder
        self._patience = _PATIENCE[patience]
        self._port = _free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._program: Program | None = None

    async def start(self) -> None:
        """Start it, for the first time or again, and wait until it takes calls."""
        ready = self._folder / "ready"
        ready.unlink(missing_ok=True)
        place = ["--db", str(self._folder / "steplane.db"), "--listen", self.address, "--ready-file", str(ready)]
        command = [sys.executable, "-m", "controlplane", "serve", *place, *_SERVER, *self._patience]
        self._program = await Program.start(command, self._folder / "server.log", {})
        async with asyncio.timeout(START_SECONDS_MAX):
            while not ready.exists():
                if not self._program.is_alive:
                    raise StageError(f"the server did not start; {self._program.last_words()}")
                await asyncio.sleep(0.02)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, or kill it."""
        assert self._program is not None
        await self._program.end(number)


async def start_worker(
    command: str,
    folder: Path,
    *,
    number: int,
    address: str,
    app_id: str,
    slots: int,
    functions: Sequence[Mapping[str, Any]],
) -> Program:
    """Start a worker under test, the n-th of its rig."""
    scripts = folder / f"scripts-{number}.json"
    scripts.write_text(json.dumps({"app_id": app_id, "slots": slots, "functions": list(functions)}))
    environment = {"STEPLANE_ADDRESS": address, "STEPLANE_SCRIPTS": str(scripts)}
    return await Program.start(shlex.split(command), folder / f"worker-{number}.log", environment)


def _free_port() -> int:
    """A port that is free now, below those that the system gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randint(10_240, 32_767)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
