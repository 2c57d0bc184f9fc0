"""Collects what the event loop's thread has to report, and hands it to the outbox in one go."""

from __future__ import annotations

import asyncio
from typing import Final

from steplane.worker.outbox import Lease, Outbox, OutgoingReport

#: So many are handed over at once, so that the server can begin with them while the rest is being done.
_BATCH_MAX: Final = 256


class Desk:
    """The reports of one event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self._loop = loop
        self._outbox = outbox
        self._reports: list[OutgoingReport] = []
        self._slots_freed = 0
        self._is_flush_due = False

    def report(self, lease: Lease, step_key: str, data: bytes) -> None:
        """Send a report, with the others of this round of the loop."""
        self._reports.append(OutgoingReport(lease, step_key, data))
        if len(self._reports) >= _BATCH_MAX:
            self.flush()
        else:
            self._flush_soon()

    def free_slot(self) -> None:
        """An invocation needs its slot no longer."""
        self._slots_freed += 1
        self._flush_soon()

    def flush(self) -> None:
        """Hand over what there is."""
        reports, slots_freed = self._reports, self._slots_freed
        if reports or slots_freed:
            self._reports, self._slots_freed = [], 0
            self._outbox.put(reports, slots_freed=slots_freed)

    def _flush_soon(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            # Two rounds later: a sleep that was begun in this one can be parked in the next, and go out with it.
            self._loop.call_soon(self._loop.call_soon, self._flush_due)

    def _flush_due(self) -> None:
        self._is_flush_due = False
        self.flush()
