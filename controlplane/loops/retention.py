"""Deletes what is older than retention keeps: a bounded batch at a time, with pauses, so that nobody waits for it."""

from __future__ import annotations

from typing import Final

import structlog
from typing_extensions import override

from controlplane.core.limits import MILLISECOND, MINUTE
from controlplane.engine.commands import Sweep
from controlplane.engine.mailbox import Mailbox
from controlplane.loops.clock import Clock
from controlplane.loops.loop import Loop, Ran
from controlplane.store.interface import Swept

log = structlog.get_logger(__name__)

BATCH_MAX: Final = 500
"""Runs, and events, looked at in one transaction."""
SWEEP_INTERVAL: Final = 1 * MINUTE
"""From the end of one sweep over all that is old to the start of the next."""
PAUSE_MIN: Final = 20 * MILLISECOND
_PAUSES_A_BATCH: Final = 3

#: Beyond every id and every key: what is left to do is at the other cursor only.
_RUNS_END: Final = "~"
_EVENTS_END: Final = 2**63 - 1


class Retention(Loop):
    """Sweeps over all old runs and events, a batch a turn, then rests."""

    def __init__(self, *, mailbox: Mailbox, clock: Clock, retention: int) -> None:
        """Keep what is younger than `retention`."""
        super().__init__(clock)
        self._mailbox = mailbox
        self._retention = retention
        self._run_cursor = ""
        self._event_cursor = 0
        self._runs = 0
        self._events = 0

    @override
    async def run_once(self, now: int) -> Ran:
        """Sweep one batch; counts the runs and events deleted."""
        swept: Swept = await self._mailbox.submit_internal(
            Sweep(
                before=now - self._retention,
                limit=BATCH_MAX,
                run_cursor=self._run_cursor,
                event_cursor=self._event_cursor,
            )
        )
        self._runs += swept.runs
        self._events += swept.events
        self._run_cursor = swept.run_cursor or _RUNS_END
        self._event_cursor = swept.event_cursor or _EVENTS_END
        count = swept.runs + swept.events
        if (self._run_cursor, self._event_cursor) != (_RUNS_END, _EVENTS_END):
            done_at = self._clock.now()
            return Ran(count, done_at + max(PAUSE_MIN, _PAUSES_A_BATCH * (done_at - now)))
        if self._runs or self._events:
            log.info("swept", run_count=self._runs, event_count=self._events)
        self._run_cursor, self._event_cursor, self._runs, self._events = "", 0, 0, 0
        return Ran(count, now + SWEEP_INTERVAL)
