"""Servers as processes of their own, as an operator starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import pytest

from controlplane.gen.steplane.v1 import event_pb2, event_pb2_grpc, payload_pb2
from tests.loops.conftest import FakeClock

SECONDS_MAX = 20
"""No answer takes so long."""


class Server:
    """One `steplane serve`."""

    def __init__(self, folder: Path, *flags: str, **environ: str) -> None:
        self.ready_file = folder / "ready"
        self.db = folder / "steplane.db"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("STEPLANE_")}
        place = ["--db", str(self.db), "--ready-file", str(self.ready_file), "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "controlplane", "serve", *place, "--log-format", "json", *flags],
            env=clean | environ,
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.said: list[str] = []

    @cached_property
    def address(self) -> str:
        """Where it listens."""
        return self.ready_file.read_text().splitlines()[0]

    @cached_property
    def http_url(self) -> str:
        """Where it takes requests over HTTP; fails if it does not."""
        return self.ready_file.read_text().splitlines()[1]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.said]

    def wait_for(self, event: str) -> dict[str, Any]:
        """The log line of that event; fails if the server ends before."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self.said.append(text)
            line: dict[str, Any] = json.loads(text)
            if line["event"] == event:
                return line
        raise AssertionError(f"it ended without {event}: {''.join(self.said)}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        _, rest = self.process.communicate(timeout=SECONDS_MAX)
        self.said += rest.splitlines(keepends=True)
        return self.process.returncode

    def channel(self) -> grpc.Channel:
        """A channel to it."""
        return grpc.insecure_channel(self.address)

    def send(self, *ids: str, padding: int = 0) -> None:
        """Send events; returns once they are durable."""
        data = payload_pb2.Payload(data=b'{"padding":"' + b"x" * padding + b'"}')
        events = [event_pb2.Event(id=id_, name="app/thing.done", data=data) for id_ in ids]
        with self.channel() as channel:
            stub = event_pb2_grpc.EventServiceStub(channel)
            stub.SendEvents(event_pb2.SendEventsRequest(events=events), timeout=SECONDS_MAX)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends those that are left."""
    servers: list[Server] = []

    def start(*flags: str, **environ: str) -> Server:
        servers.append(Server(tmp_path, *flags, **environ))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.wait()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands."""
    return FakeClock()
