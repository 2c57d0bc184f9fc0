"""Lets sessions expire whose workers were silent for too long: their runs go to others."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from controlplane.core.limits import SECOND
from controlplane.engine.commands import ExpireSessions
from controlplane.engine.mailbox import Mailbox
from controlplane.loops.clock import Clock
from controlplane.loops.loop import Loop, Ran

_INTERVAL_MAX: Final = 1 * SECOND
_LOOKS_A_GRACE: Final = 4


class Sessions(Loop):
    """Looks often enough that the grace time is kept to within a quarter."""

    def __init__(self, *, mailbox: Mailbox, clock: Clock, session_grace: int) -> None:
        super().__init__(clock)
        self._mailbox = mailbox
        self._interval = min(_INTERVAL_MAX, session_grace // _LOOKS_A_GRACE)

    @override
    async def run_once(self, now: int) -> Ran:
        """Counts the sessions that expired."""
        count = await self._mailbox.submit_internal(ExpireSessions())
        return Ran(count, now + self._interval)
