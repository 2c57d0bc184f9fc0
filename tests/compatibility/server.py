"""A server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS_MAX = 60.0


@contextmanager
def serve(folder: Path, flags: Sequence[str]) -> Iterator[str]:
    """A server with these flags, on a file of its own; its address."""
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
        yield ready.read_text().split()[0]
    finally:
        server.terminate()
        server.wait()
