"""Tells watchers of runs that a commit changed them. A hint: watchers read the store for the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class RunHub:
    """Events of the event loop's thread, one a watcher."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self.is_closed = False

    @contextmanager
    def watch(self, run_id: str) -> Iterator[asyncio.Event]:
        """An event that is set after each commit that changed the run; the watcher clears it before it reads."""
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(run_id, set())
        watchers.add(changed)
        try:
            yield changed
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(run_id, None)

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches anything."""
        return bool(self._watchers)

    def notify(self, run_ids: Iterable[str]) -> None:
        """These runs were changed by a commit."""
        for run_id in run_ids:
            for changed in self._watchers.get(run_id, ()):
                changed.set()

    def close(self) -> None:
        """The server is stopping: every watcher is woken, and is to give up."""
        self.is_closed = True
        self.notify(list(self._watchers))
