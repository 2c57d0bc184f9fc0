"""The time that loops go by. `app` has the real one, tests one that jumps."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Clock(Protocol):
    """Microseconds since 1970 (UTC)."""

    def now(self) -> int:
        """This moment. It may jump, forward and back."""
        ...

    async def wait(self, woken: asyncio.Event, duration: int) -> None:
        """Return once `woken` is set, or after `duration` at the latest, whatever `now` does meanwhile."""
        ...
