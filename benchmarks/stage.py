"""A server with a fresh file, a worker and a load generator, a process each."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SLOTS = 500
PYTHON_WORKER = (sys.executable, str(HERE / "worker.py"))

Figures = dict[str, float]


class Stage:
    """A server with a fresh file, a worker, and a load generator."""

    def __init__(self, worker: Sequence[str] = PYTHON_WORKER, *, slots: int = SLOTS) -> None:
        """`worker` is the command that starts the worker; it is given the server's address, and the slots."""
        self._command = [*worker]
        self._slots = slots
        self._processes: list[subprocess.Popen[str]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="steplane-bench-")

    def __enter__(self) -> "Stage":
        """Start all three."""
        folder = Path(self._folder.name)
        ready, database = folder / "address", folder / "steplane.db"
        serve = ["-m", "controlplane", "serve", "--db", str(database), "--listen", "127.0.0.1:0"]
        self._server = self._start([sys.executable, *serve, "--ready-file", str(ready), "--log-level", "warning"])
        wait_until(ready.exists)
        address = ready.read_text().strip()
        self._worker = self._start([*self._command, address, str(self._slots)])
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            wait_until(lambda: connection.execute("SELECT EXISTS (SELECT 1 FROM sessions)").fetchone()[0])
        self._load = self._start([sys.executable, str(HERE / "load.py"), address, str(database)])
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them, the last one first."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        self._folder.cleanup()

    def load(
        self, name: str, count: int, *, i: int = 1, keys: int = 0, latencies: int = 0, in_lanes: bool = False
    ) -> Figures:
        """Send events, and wait until the runs they start have ended or parked.

        Each has `i` as its data, and with `keys` another `key` of so many. Runs that flow control holds back are not
        waited for, unless they are `in_lanes`.
        """
        cpu = self._cpu_seconds()
        assert self._load.stdin
        assert self._load.stdout
        self._load.stdin.write(
            json.dumps(
                {"name": name, "count": count, "i": i, "keys": keys, "latencies": latencies, "in_lanes": in_lanes}
            )
            + "\n"
        )
        self._load.stdin.flush()
        figures: Figures = json.loads(self._load.stdout.readline())
        server, worker = (after - before for after, before in zip(self._cpu_seconds(), cpu, strict=True))
        return {**figures, "server_cpu_us_per_run": server / count * 1e6, "worker_cpu_us_per_run": worker / count * 1e6}

    @property
    def pids(self) -> dict[str, int]:
        """The processes of interest."""
        return {"server": self._server.pid, "worker": self._worker.pid}

    def server_mebibytes(self) -> float:
        """The server's resident memory."""
        return mebibytes(self._server.pid)

    def worker_mebibytes(self) -> float:
        """The worker's resident memory."""
        return mebibytes(self._worker.pid)

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        return process

    def _cpu_seconds(self) -> tuple[float, float]:
        return cpu_seconds(self._server.pid), cpu_seconds(self._worker.pid)


def cpu_seconds(pid: int) -> float:
    """What a process has used of all processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mebibytes(pid: int) -> float:
    """The resident memory of a process."""
    with Path(f"/proc/{pid}/status").open() as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def wait_until(is_met: Any) -> None:
    """Look again and again, for up to 30 seconds."""
    until = time.monotonic() + 30
    while not is_met():
        if time.monotonic() > until:
            sys.exit("a process did not start")
        time.sleep(0.05)


def say(text: str) -> None:
    """Tell what is measured."""
    print(f"… {text}", file=sys.stderr, flush=True)
