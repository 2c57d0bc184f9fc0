"""The one shape of what time does: `run_once` does what is due, and tells when to do so again.

Loops submit commands, and decide nothing. Tests call `run_once` with the moment of their choice, and start no loop.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from controlplane.core.limits import SECOND
from controlplane.loops.clock import Clock

log = structlog.get_logger(__name__)

#: No wait is longer, so that a clock that was set forward is noticed within it.
_NAP_MAX: Final = 1 * SECOND
_PAUSE_AFTER_FAILURE: Final = 1 * SECOND


class Ran(NamedTuple):
    """What one turn of a loop did."""

    done: int
    """How many things it did."""
    again_at: int
    """The moment of the next turn, unless the loop is woken before."""


class Loop(ABC):
    """Runs until it is stopped; a turn that fails is logged, and tried again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def run_once(self, now: int) -> Ran:
        """Do what is due."""

    def start(self) -> None:
        """Begin with a turn at once."""
        assert self._task is None
        self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    def wake(self) -> None:
        """Take the next turn now."""
        self._woken.set()

    async def stop(self) -> None:
        """Take no further turn. What was submitted already is done all the same."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            now = self._clock.now()
            try:
                again_at = (await self.run_once(now)).again_at
            except Exception:  # one failure must not end what time has to do
                log.exception("loop_failed", loop=type(self).__name__)
                again_at = now + _PAUSE_AFTER_FAILURE
            await self._wait_until(again_at)

    async def _wait_until(self, moment: int) -> None:
        while not self._woken.is_set() and (left := moment - self._clock.now()) > 0:
            await self._clock.wait(self._woken, min(left, _NAP_MAX))
