"""When something new of each case passed the relay last.

How long a case takes says more about the machine than about the worker; that nothing new comes of it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from conformance.case import Case


class Pulse:
    """Of all cases of one rig."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = {function["id"]: case.name for case in cases for function in case.functions}
        self._last = {case.name: monotonic() for case in cases}
        self._beaten = {case.name: asyncio.Event() for case in cases}

    def beat(self, function_id: str) -> None:
        """Something of a run of this function passed, and for the first time."""
        name = self._cases.get(function_id)
        if name is not None:
            self._beat(name)

    def begin(self, case: Case) -> None:
        """A case begins."""
        self._beat(case.name)

    def beat_all(self) -> None:
        """A process is there that all cases of the rig waited for."""
        for name in self._last:
            self._beat(name)

    def _beat(self, name: str) -> None:
        self._last[name] = monotonic()
        self._beaten[name].set()

    def silence(self, case: Case) -> float:
        """For how many seconds nothing new of the case has passed."""
        return monotonic() - self._last[case.name]

    async def next(self, case: Case, *, seconds: float) -> None:
        """Wait until something new of it passes, but no longer than that."""
        beaten = self._beaten[case.name]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await beaten.wait()
        beaten.clear()
