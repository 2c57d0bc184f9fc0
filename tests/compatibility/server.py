"""A server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Tell it to stop; it lets workers finish first."""
        self.process.terminate()


@contextmanager
def serve(folder: Path, flags: Sequence[str]) -> Iterator[Server]:
    """A server with these flags, on a file of its own."""
    ready = folder / "ready"
    place = ["--db", str(folder / "steplane.db"), "--listen", "127.0.0.1:0", "--ready-file", str(ready)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "controlplane", "serve", *place, *flags], stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + _START_SECONDS_MAX
        while not ready.exists():
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < until, "the server did not start in time"
            time.sleep(0.02)
        yield Server(ready.read_text().split()[0], server)
    finally:
        server.terminate()
        server.wait()
