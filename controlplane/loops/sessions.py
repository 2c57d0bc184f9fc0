"""Lets sessions expire whose workers were silent for too long: their runs go to others.

Not so right after a time that nobody saw pass: the clock was set forward, or this process or its machine stood still. Then
it is not the workers who were silent, and each gets the time to show it.
"""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from controlplane.core.limits import SECOND
from controlplane.engine.commands import ExpireSessions
from controlplane.engine.mailbox import Mailbox
from controlplane.loops.clock import Clock
from controlplane.loops.loop import Loop, Ran

INTERVAL_MAX: Final = 1 * SECOND
LATE: Final = 2 * SECOND
"""A turn that comes so long after its moment tells of time that nobody saw pass."""
_LOOKS_A_GRACE: Final = 4
_HEARTBEATS_WAITED: Final = 2


class Sessions(Loop):
    """Looks often enough that the grace time is kept to within a quarter."""

    def __init__(self, *, mailbox: Mailbox, clock: Clock, session_grace: int, heartbeat_interval: int) -> None:
        super().__init__(clock)
        self._mailbox = mailbox
        self._interval = min(INTERVAL_MAX, session_grace // _LOOKS_A_GRACE)
        self._patience = _HEARTBEATS_WAITED * heartbeat_interval
        self._next_at: int | None = None
        self._patient_until: int | None = None

    @override
    async def run_once(self, now: int) -> Ran:
        """Counts the sessions that expired."""
        is_late = self._next_at is not None and now > self._next_at + LATE
        self._next_at = now + self._interval
        if self._patient_until is None:
            self._patient_until = now + self._patience if is_late else now
        if now < self._patient_until:
            return Ran(0, self._next_at)
        self._patient_until = None
        return Ran(await self._mailbox.submit_internal(ExpireSessions()), self._next_at)
