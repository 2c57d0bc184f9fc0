"""Real processes for crash tests: a server under a supervisor, workers, and a producer that keeps count."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc

from controlplane.gen.steplane.v1 import event_pb2, event_pb2_grpc, payload_pb2

WORKER = Path(__file__).with_name("worker.py")
SECONDS_MAX = 60.0
CHILDREN = 3
"""How many events the worker sends for each that it gets."""
FUNCTIONS = 3
SLOTS = 20
PATIENCE = ["--session-grace", "500ms", "--session-timeout", "1500ms", "--heartbeat-interval", "300ms"]
"""Quick to give up on a worker, so that tests are short."""
BATCH = 10
SEVEN = payload_pb2.Payload(data=b'{"number": 7}')
_NOT_ANSWERED = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)
"""What a producer sees of a server that is killed, or that stops before it has looked at the call."""
PORTS = (10_240, 32_767)
"""Ports below those that the system gives to outgoing connections, one of which might take it while no server has it."""


class Stage:
    """One server's file, the processes around it, and the events that were acknowledged.

    The server is killed by a test or by its failpoint, and its supervisor starts it again, on the same file and port.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "steplane.db"
        self.notes = folder / "notes"
        self.port = free_port()
        self.acknowledged: set[str] = set()
        self.deaths: list[int] = []
        """The exit codes of servers that ended without being asked to."""
        self.patience = PATIENCE
        """Of the server with its workers."""
        self.log_level = "debug"
        """Of the server. At debug it tells of each change of each run, which `check` looks at."""
        self._ready = folder / "ready"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._sent = 0
        self._is_stopping = False
        self._supervisor: threading.Thread | None = None

    def start_server(self, failpoint: str = "") -> None:
        """Start a server and its supervisor; `failpoint` kills the first one when it gets there."""
        self._start_server({"STEPLANE_FAILPOINT": failpoint} if failpoint else {})
        self._supervisor = threading.Thread(target=self._supervise)
        self._supervisor.start()

    def kill_server(self) -> None:
        """Kill the server that there is now, ready or not."""
        self.server.kill()

    def wait_ready(self) -> None:
        """Return once the server takes calls."""
        wait_until(lambda: self._ready.exists() and self.server.poll() is None)

    def stop_server(self) -> None:
        """Stop it as an operator does."""
        self.wait_ready()
        self._is_stopping = True
        self.server.send_signal(signal.SIGTERM)
        code = self.server.wait(SECONDS_MAX)
        assert code == 0, f"the server ended with {code}"

    def start_worker(
        self, port: int | None = None, *, program: Path = WORKER, functions: int = FUNCTIONS
    ) -> subprocess.Popen[bytes]:
        """Start a worker, of the server or of a proxy before it. Its program registers so many functions."""
        address = f"127.0.0.1:{self.port if port is None else port}"
        worker = self._start("worker", [str(program), address, str(self.notes)], {})
        # An event that comes before the functions are registered starts nothing, rightly.
        wait_until(lambda: self.count("SELECT count(*) FROM functions") == functions)
        return worker

    def wait_for_work(self, worker: subprocess.Popen[bytes], *, steps: int = 1) -> None:
        """Return once the worker has begun so many steps."""
        wait_until(lambda: self._begun(worker) >= steps)

    def is_at_work(self, worker: subprocess.Popen[bytes]) -> bool:
        """Whether the worker has begun a step that it does not know to be recorded."""
        lines = [line.split() for line in self.notes.read_text().splitlines() if f" {worker.pid} " in line]
        steps: dict[str, set[tuple[str, str]]] = {"begin": set(), "done": set()}
        for what, run_id, step, *_ in lines:
            steps[what].add((run_id, step))
        return steps["begin"] > steps["done"]

    def wait_for_leases(self) -> None:
        """Return once the one worker was given all that it has slots for; under load, that is when it does nothing."""
        wait_until(lambda: self.count("SELECT count(*) FROM runs WHERE session_id IS NOT NULL") == SLOTS)

    def send(self, count: int) -> None:
        """Send events in batches, each again with the same ids until it is acknowledged, across restarts."""
        for first in range(0, count, BATCH):
            ids = [f"event-{self._sent + index}" for index in range(min(BATCH, count - first))]
            self._sent += len(ids)
            self.send_batch([event_pb2.Event(id=id_, name="crash/parent", data=SEVEN) for id_ in ids])
            self.acknowledged.update(ids)

    def send_batch(self, events: Iterable[event_pb2.Event]) -> None:
        """Send events, which have ids, until they are acknowledged, across restarts."""
        request = event_pb2.SendEventsRequest(events=events)
        wait_until(lambda: self._try_to_send(request))

    @contextmanager
    def load(self, *, seconds_between: float = 0.1) -> Iterator[None]:
        """Send batch after batch, for as long as the block takes."""
        is_over = threading.Event()

        def send() -> None:
            while not is_over.is_set():
                self.send(BATCH)
                is_over.wait(seconds_between)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        finally:
            is_over.set()
            sender.join()

    def wait_for_end(self) -> None:
        """Return once every run has ended."""
        wait_until(lambda: self.count("SELECT count(*) FROM runs WHERE ended_at IS NULL") == 0)

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        """What a process has logged."""
        return (self.folder / f"{process.pid}.log").read_text()

    def logs_of_servers(self) -> Iterator[str]:
        """The lines that all of them logged, one after the other."""
        for index in range(len(self._processes)):
            log = self.folder / f"server-{index}.log"
            if log.exists():
                yield from log.read_text().splitlines()

    def close(self) -> None:
        """Leave no process behind."""
        self._is_stopping = True
        # The supervisor may be starting one more.
        while any(process.poll() is None for process in self._processes) or self._is_supervised():
            for process in self._processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
            if self._supervisor is not None:
                self._supervisor.join(0.1)

    def _is_supervised(self) -> bool:
        return self._supervisor is not None and self._supervisor.is_alive()

    def _supervise(self) -> None:
        while True:
            code = self.server.wait()
            if self._is_stopping:
                return
            self.deaths.append(code)
            self._start_server({})

    def _start_server(self, environment: dict[str, str]) -> None:
        self._ready.unlink(missing_ok=True)
        place = ["--db", str(self.database), "--listen", f"127.0.0.1:{self.port}", "--ready-file", str(self._ready)]
        log = ["--log-format", "json", "--log-level", self.log_level]
        self.server = self._start("server", ["-m", "controlplane", "serve", *place, *log, *self.patience], environment)

    def _start(self, name: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("STEPLANE_")}
        log = self.folder / f"{name}-{len(self._processes)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=clean | environment, stdout=stream, stderr=stream
            )
        (self.folder / f"{process.pid}.log").symlink_to(log)
        self._processes.append(process)
        return process

    def _begun(self, worker: subprocess.Popen[bytes]) -> int:
        assert worker.poll() is None, f"the worker has ended: {self.log_of(worker)}"
        return self.notes.read_text().count(f" {worker.pid} ") if self.notes.exists() else 0

    def _try_to_send(self, request: event_pb2.SendEventsRequest) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                event_pb2_grpc.EventServiceStub(channel).SendEvents(request, timeout=1)
            except grpc.RpcError as error:
                if error.code() not in _NOT_ANSWERED:
                    raise
                return False
        return True

    def count(self, sql: str) -> int:
        """The number that a query of the server's file gives; -1 while there is no file to read."""
        try:
            with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
                return int(connection.execute(sql).fetchone()[0])
        except sqlite3.OperationalError:
            return -1  # the server is just making or recovering the file


def free_port() -> int:
    """A port that is free now, and that nobody is given by chance."""
    first, last = PORTS
    while True:
        port = random.SystemRandom().randint(first, last)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue  # somebody has it


def wait_until(is_met: Callable[[], bool]) -> None:
    """Look again and again, for up to a minute."""
    until = time.monotonic() + SECONDS_MAX
    while not is_met():
        assert time.monotonic() < until, "it did not come in time"
        time.sleep(0.02)
