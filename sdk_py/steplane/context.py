"""What a function is given: its event, its run, and its steps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar, overload

from steplane.codec import decode_event
from steplane.errors import ArgumentError
from steplane.event import Event
from steplane.gen.steplane.v1 import event_pb2
from steplane.host import StepHost
from steplane.override import override
from steplane.replay.machine import Machine, State
from steplane.step import Step
from steplane.step_sync import StepSync

T = TypeVar("T")


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of a run: silent while the code walks over what is recorded, and so was logged before."""

    def __init__(self, logger: logging.Logger, machine: Machine) -> None:
        super().__init__(logger, {"run_id": machine.run_id})
        self._machine = machine

    @override
    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 the name is logging's
        """Whether a record of this level is wanted just now."""
        return self._machine.state is not State.REPLAYING and super().isEnabledFor(level)

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run's id to a record's fields."""
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return msg, kwargs


class RunFacts:
    """What both kinds of context tell of a run."""

    __slots__ = ("_events", "_logger", "_machine", "_messages", "_run_logger", "attempt")

    def __init__(
        self, *, machine: Machine, events: Sequence[event_pb2.Event], attempt: int, logger: logging.Logger
    ) -> None:
        self._machine = machine
        self._messages = events
        self._events: list[Event] | None = None
        self._logger = logger
        self._run_logger: RunLogger | None = None
        self.attempt = attempt
        """How often the function failed outside of steps before: 0 in its first try."""

    @property
    def event(self) -> Event:
        """The event that started the run."""
        return self.events[0]

    @property
    def events(self) -> list[Event]:
        """All events that started the run: one, or those of a batch."""
        if self._events is None:
            self._events = [decode_event(message) for message in self._messages]
        return self._events

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._machine.run_id

    @property
    def traceparent(self) -> str:
        """The run's W3C trace context; in the body of a step use `steplane.current_traceparent()`."""
        return self._machine.traceparent

    @property
    def logger(self) -> RunLogger:
        """Logs what happens in this run, once: it is silent during replay. Its records have a `run_id`."""
        if self._run_logger is None:
            self._run_logger = RunLogger(self._logger, self._machine)
        return self._run_logger


class Group:
    """What an `async def` function can do with several steps."""

    __slots__ = ()

    @overload
    async def parallel(
        self, callables: Sequence[Callable[[], Awaitable[T]]], *, mode: Literal["all"] = "all"
    ) -> tuple[T, ...]: ...
    @overload
    async def parallel(self, callables: Sequence[Callable[[], Awaitable[T]]], *, mode: Literal["race"]) -> T: ...
    async def parallel(
        self, callables: Sequence[Callable[[], Awaitable[T]]], *, mode: Literal["all", "race"] = "all"
    ) -> tuple[T, ...] | T:
        """Call all of them at the same time, and return what they return, in their order. `asyncio.gather` does as well.

        With `mode="race"`, return what the first one to end returns, or raise what it raises; the others are cancelled
        where they await, and what they have recorded stays recorded. The first is the same in every replay.
        """
        if mode == "all":
            return tuple(await asyncio.gather(*(each() for each in callables)))
        if str(mode) != "race" or not callables:
            raise ArgumentError(
                f"group.parallel: mode is 'all' or 'race', the latter with something to call, not {mode!r}"
            )
        branches = [asyncio.ensure_future(each()) for each in callables]
        try:
            await asyncio.wait(branches, return_when=asyncio.FIRST_COMPLETED)
            return next(branch for branch in branches if branch.done()).result()
        finally:
            for branch in branches:
                branch.cancel()
            await asyncio.gather(*branches, return_exceptions=True)


_GROUP: Final = Group()


class GroupSync:
    """What a plain `def` function can do with several steps."""

    __slots__ = ("_host",)

    def __init__(self, host: ThreadHost) -> None:
        self._host = host

    def parallel(self, callables: Sequence[Callable[[], T]], *, mode: Literal["all"] = "all") -> tuple[T, ...]:
        """Call all of them at the same time, in a thread each, and return what they return, in their order.

        The first error among them, in their order, is raised once all of them have ended. A race needs an `async def`
        function: a thread can't be stopped where it waits.
        """
        if mode != "all":
            raise ArgumentError("group.parallel: a plain function can't race its branches; make it `async def`")
        return tuple(self._host.parallel(callables))


class ThreadHost(StepHost, Protocol):
    """The invocation of a plain function."""

    def parallel(self, callables: Sequence[Callable[[], T]]) -> list[T]:
        """Call all of them at the same time."""
        ...


class Context(RunFacts):
    """What an `async def` function is given."""

    __slots__ = ("group", "step")

    def __init__(
        self,
        host: StepHost,
        *,
        machine: Machine,
        events: Sequence[event_pb2.Event],
        attempt: int,
        logger: logging.Logger,
    ) -> None:
        super().__init__(machine=machine, events=events, attempt=attempt, logger=logger)
        self.step = Step(host)
        """The steps: what happens once, and is remembered."""
        self.group = _GROUP
        """Several steps at once."""


class ContextSync(RunFacts):
    """What a plain `def` function is given."""

    __slots__ = ("group", "step")

    def __init__(
        self,
        host: ThreadHost,
        *,
        machine: Machine,
        events: Sequence[event_pb2.Event],
        attempt: int,
        logger: logging.Logger,
    ) -> None:
        super().__init__(machine=machine, events=events, attempt=attempt, logger=logger)
        self.step = StepSync(Step(host))
        """The steps: what happens once, and is remembered."""
        self.group = GroupSync(host)
        """Several steps at once."""
