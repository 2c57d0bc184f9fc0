"""What steps ask of the invocation that they are called in."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from steplane.limits import Limits
from steplane.replay.journal import StepKind
from steplane.replay.machine import StepCall


class StepHost(Protocol):
    """The invocation that steps are called in."""

    is_async: bool

    @property
    def limits(self) -> Limits:
        """What the server refuses for good."""
        ...

    @property
    def is_sure(self) -> bool:
        """Whether nobody else was given the run. If not, `settle` waits until that is known."""
        ...

    def begin(self, step_id: str, kind: StepKind) -> StepCall:
        """A step is called."""
        ...

    def settle(self, call: StepCall, report: bytes | None = None, *, is_certain: bool = True) -> Awaitable[None]:
        """Report what was done, if anything, and wait until the code can go on. Await the result at once."""
        ...

    def abandon(self, call: StepCall) -> None:
        """The code waits for the step no longer."""
        ...
