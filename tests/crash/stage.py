"""Real processes for crash tests: a server that is started again on its port, workers, and a producer that keeps count."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import grpc

from controlplane.gen.steplane.v1 import event_pb2, event_pb2_grpc

WORKER = Path(__file__).with_name("worker.py")
SECONDS_MAX = 60.0
#: How many events the worker sends for each that it gets.
CHILDREN = 3
FUNCTIONS = 2
#: Quick to give up on a worker, so that tests are short.
PATIENCE = ["--session-grace", "1s", "--session-timeout", "2s", "--heartbeat-interval", "400ms"]


class Stage:
    """One server's file, the processes around it, and the events that were acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "steplane.db"
        self.notes = folder / "notes"
        self.port = free_port()
        self.acknowledged: set[str] = set()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._sent = 0
        self.server = self.start_server()

    def start_server(self, failpoint: str = "") -> subprocess.Popen[bytes]:
        """Start a server, on the same file and port each time; `failpoint` kills it when it gets there."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        place = ["--db", str(self.database), "--listen", f"127.0.0.1:{self.port}", "--ready-file", str(ready)]
        environment = os.environ | ({"STEPLANE_FAILPOINT": failpoint} if failpoint else {})
        self.server = self._start("server", ["-m", "controlplane", "serve", *place, *PATIENCE], environment)
        wait_until(lambda: ready.exists() or self.server.poll() is not None)
        return self.server

    def start_worker(self, port: int | None = None) -> subprocess.Popen[bytes]:
        """Start a worker, of the server or of a proxy before it."""
        address = f"127.0.0.1:{self.port if port is None else port}"
        worker = self._start("worker", [str(WORKER), address, str(self.notes)], dict(os.environ))
        # An event that comes before the functions are registered starts nothing, rightly.
        wait_until(lambda: self._count("SELECT count(*) FROM functions") == FUNCTIONS)
        return worker

    def wait_for_worker(self) -> None:
        """Return once a worker has taken something."""
        wait_until(lambda: self.notes.exists() and self.notes.stat().st_size > 0)

    def send(self, count: int, *, restart: Callable[[], object] | None = None) -> None:
        """Send events in batches, each again with the same ids until it is acknowledged, across restarts."""
        for first in range(0, count, 10):
            ids = [f"event-{self._sent + index}" for index in range(min(10, count - first))]
            self._sent += len(ids)
            request = event_pb2.SendEventsRequest()
            for id_ in ids:
                request.events.add(id=id_, name="crash/parent").data.data = b'{"number": 7}'
            until = time.monotonic() + SECONDS_MAX
            while not self._try_to_send(request):
                assert time.monotonic() < until, "no batch was acknowledged in time"
                if restart is not None and self.server.poll() is not None:
                    restart()
            self.acknowledged.update(ids)

    def wait_for_end(self, *, restart: Callable[[], object] | None = None) -> None:
        """Return once every run has ended."""

        def has_ended() -> bool:
            if restart is not None and self.server.poll() is not None:
                restart()
            return self._live_runs() == 0

        wait_until(has_ended)

    def stop_server(self) -> None:
        """Stop it as an operator does."""
        self.server.send_signal(signal.SIGTERM)
        assert self.server.wait(SECONDS_MAX) == 0

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        """What a process has logged."""
        return (self.folder / f"log-{process.pid}").read_text()

    def close(self) -> None:
        """Leave no process behind."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _start(self, name: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        log = self.folder / f"{name}-{len(self._processes)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=stream, stderr=stream)
        log.with_name(f"log-{process.pid}").symlink_to(log)
        self._processes.append(process)
        return process

    def _try_to_send(self, request: event_pb2.SendEventsRequest) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                event_pb2_grpc.EventServiceStub(channel).SendEvents(request, timeout=5, wait_for_ready=True)
            except grpc.RpcError:
                return False
        return True

    def _live_runs(self) -> int:
        if self._count("SELECT count(*) FROM runs") < 1:
            return -1
        return self._count("SELECT count(*) FROM runs WHERE ended_at IS NULL")

    def _count(self, sql: str) -> int:
        try:
            with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
                return int(connection.execute(sql).fetchone()[0])
        except sqlite3.OperationalError:
            return -1  # the server is just making or recovering the file


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(is_met: Callable[[], bool]) -> None:
    """Look again and again, for up to a minute."""
    until = time.monotonic() + SECONDS_MAX
    while not is_met():
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.02)
