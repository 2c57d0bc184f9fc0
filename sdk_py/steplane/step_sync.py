"""The steps of a plain `def` function: the coroutines of `Step`, run to their end in the function's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, TypeVarTuple, overload

from steplane.blocking import finish
from steplane.event import Event
from steplane.function import Function
from steplane.retry import Retry
from steplane.step import Step
from steplane.waiting import Since, Waited

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StepSync:
    """The steps of a plain `def` function: the same as those of `Step`, and blocking."""

    __slots__ = ("_step",)

    def __init__(self, step: Step) -> None:
        self._step = step

    def run(self, step_id: str, handler: Callable[[*Ts], T], *args: *Ts, retry: Retry | None = None) -> T:
        """Run `handler(*args)` once, in this thread: what it returns is recorded, and returned by every replay.

        It is tried again if it raises an error, as `retry` says, else as its function does; once it has failed for good,
        `StepError` is raised here. What it returns has to be JSON.
        """
        return finish(self._step.run(step_id, handler, *args, retry=retry))

    def sleep(self, step_id: str, duration: timedelta | int) -> None:
        """Sleep for a `timedelta`, or so many milliseconds. It costs neither memory nor a slot, and survives restarts."""
        finish(self._step.sleep(step_id, duration))

    def sleep_until(self, step_id: str, until: datetime) -> None:
        """Sleep until a moment, which needs a time zone; one that is past does not sleep at all."""
        finish(self._step.sleep_until(step_id, until))

    def send_event(self, step_id: str, events: Event | Sequence[Event]) -> list[str]:
        """Send an event, or several, exactly once, and return their ids.

        The step is recorded and its events are stored in one transaction, whatever crashes. They carry the trace context
        of this step.
        """
        return finish(self._step.send_event(step_id, events))

    @overload
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: Waited,
        match: str | None = None,
        if_exp: str | None = None,
        timeout: timedelta | int | None = None,
        since: Since | None = None,
        all_of: Literal[False] = False,
    ) -> Event | None: ...
    @overload
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: Waited,
        match: str | None = None,
        if_exp: str | None = None,
        timeout: timedelta | int | None = None,
        since: Since | None = None,
        all_of: Literal[True],
    ) -> list[Event] | None: ...
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: Waited,
        match: str | None = None,
        if_exp: str | None = None,
        timeout: timedelta | int | None = None,
        since: Since | None = None,
        all_of: bool = False,
    ) -> Event | list[Event] | None:
        """Wait for an event, and return it, or `None` once `timeout` has passed. See `Step.wait_for_event`."""
        how: dict[str, Any] = {"match": match, "if_exp": if_exp, "timeout": timeout, "since": since, "all_of": all_of}
        found: Event | list[Event] | None = finish(self._step.wait_for_event(step_id, event=event, **how))
        return found

    def invoke(
        self,
        step_id: str,
        *,
        function: Function[Any] | str,
        data: Mapping[str, Any] | None = None,
        timeout: timedelta | int | None = None,
    ) -> Any:
        """Run another function, and return what it returned. See `Step.invoke`."""
        return finish(self._step.invoke(step_id, function=function, data=data, timeout=timeout))

    def wait_for_signal(
        self,
        step_id: str,
        *,
        signal: str,
        timeout: timedelta | int | None = None,
        on_conflict: Literal["fail", "replace"] = "fail",
    ) -> Any:
        """Wait for a signal, and return its data, or `None` once `timeout` has passed. See `Step.wait_for_signal`."""
        return finish(self._step.wait_for_signal(step_id, signal=signal, timeout=timeout, on_conflict=on_conflict))

    def send_signal(self, step_id: str, *, signal: str, data: Any = None) -> str:
        """Send a signal to the run that waits for it, exactly once, and return that run's id. See `Step.send_signal`."""
        return finish(self._step.send_signal(step_id, signal=signal, data=data))
