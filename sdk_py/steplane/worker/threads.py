"""Threads for plain functions. They are daemons: one that hangs does not keep the process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Threads:
    """As many threads as there are jobs at the same time; idle ones are used again."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def start(self, job: Callable[[], None]) -> None:
        """Run a job at once. It must not raise."""
        with self._lock:
            has_idle = self._idle > 0
            if has_idle:
                self._idle -= 1
            else:
                self._count += 1
        self._jobs.put(job)
        if not has_idle:
            threading.Thread(target=self._work, name="steplane-function", daemon=True).start()

    def close(self) -> None:
        """Let every thread end after its job."""
        with self._lock:
            for _ in range(self._count):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._idle += 1
