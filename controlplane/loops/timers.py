"""Fires timers when they are due.

Hints tell of new timers, and the store is the truth: it is asked after each firing, and from time to time without a reason.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Final

from typing_extensions import override

from controlplane.core.limits import SECOND
from controlplane.engine.commands import FireTimers
from controlplane.engine.mailbox import Mailbox
from controlplane.loops.clock import Clock
from controlplane.loops.loop import Loop, Ran
from controlplane.store.interface import Store

FIRED_MAX: Final = 1_000
"""Timers fired in one transaction."""
LOOK_INTERVAL: Final = 30 * SECOND
"""How often the store is asked although nothing is known to be due."""


class Timers(Loop):
    """Sleeps until the earliest timer is due."""

    def __init__(self, *, mailbox: Mailbox, store: Store, readers: Executor, clock: Clock) -> None:
        """The store is read in threads of `readers`."""
        super().__init__(clock)
        self._mailbox = mailbox
        self._store = store
        self._readers = readers
        self._due_at = 0
        """When to look next; nothing is due before, as far as is known."""

    def hint(self, due_at: int) -> None:
        """A timer was stored."""
        if due_at < self._due_at:
            self._due_at = due_at
            self.wake()

    @override
    async def run_once(self, now: int) -> Ran:
        """Fire what is due, if anything is; counts the timers fired."""
        if now < self._due_at:
            return Ran(0, self._due_at)
        # From here on hints count: one may come while the store is asked, which then may not tell of its timer.
        self._due_at = now + LOOK_INTERVAL
        count = 0
        try:
            while True:
                fired = await self._mailbox.submit_internal(FireTimers(limit=FIRED_MAX))
                count += fired
                if fired < FIRED_MAX:
                    break
            next_due_at = await asyncio.get_running_loop().run_in_executor(self._readers, self._next_due)
        except BaseException:
            self._due_at = now
            raise
        if next_due_at is not None:
            self._due_at = min(self._due_at, next_due_at)
        return Ran(count, self._due_at)

    def _next_due(self) -> int | None:
        with self._store.read() as reader:
            return reader.next_due()
