"""What a function can do durably: run, sleep, send events. One logic for `async def` and plain `def` functions.

`Step` is written as coroutines; what they await is their host's: it gives way to the event loop in an async function, and
blocks the thread in a plain one, where `StepSync` runs the very same coroutines to their end.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, Final, NoReturn, Protocol, TypeVar, TypeVarTuple, overload

from steplane import reports
from steplane.blocking import finish
from steplane.codec import as_timedelta, decode, encode, encode_event
from steplane.errors import NonRetriableError, RejectedError, StepError, TooLargeError
from steplane.event import Event
from steplane.gen.steplane.v1 import event_pb2
from steplane.limits import Limits
from steplane.replay.journal import StepKind
from steplane.replay.key import step_id as id_of
from steplane.replay.machine import BLOCKED, COMPLETED, EXECUTE, Status, StepCall
from steplane.scope import SCOPE

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = logging.getLogger("steplane.worker")

_RUN: Final = StepKind.RUN  # looked up once: an enum's members are slow to find

#: The server takes sleeps of up to 366 days; one that is surely shorter need not wait for its ack to be parked.
_SLEEP_CERTAIN_MAX: Final = timedelta(days=365)


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


class Step:
    """The steps of an `async def` function."""

    __slots__ = ("_host",)

    def __init__(self, host: StepHost) -> None:
        self._host = host

    @overload
    async def run(self, step_id: str, handler: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts) -> T: ...
    @overload
    async def run(self, step_id: str, handler: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T: ...
    @overload
    async def run(self, step_id: str, handler: Callable[[*Ts], T], *args: *Ts) -> T: ...
    async def run(self, step_id: str, handler: Callable[..., Any], *args: Any) -> Any:  # type: ignore[misc]  # it takes all
        """Run `handler(*args)` once: what it returns is recorded, and returned by every replay.

        It is tried again if it raises an error; once it has failed for good, `StepError` is raised here. What it returns
        has to be JSON. A plain `def` handler runs on the event loop, and so should not block.
        """
        host = self._host
        call = host.begin(step_id, _RUN)
        try:
            while call.status is not COMPLETED:
                if call.status is EXECUTE:
                    # Without that, a process that was frozen would do again what others did meanwhile.
                    await host.settle(call, await self._try(call, handler, args) if host.is_sure else None)
                elif call.status is BLOCKED:
                    await host.settle(call)
                else:
                    _fail(call)
        except BaseException:
            host.abandon(call)
            raise
        entry = call.entry
        return call.value if entry is None else decode(entry.output, entry.encoding)

    async def sleep(self, step_id: str, duration: timedelta | int) -> None:
        """Sleep for a `timedelta`, or so many milliseconds. It costs neither memory nor a slot, and survives restarts."""
        length = max(as_timedelta(duration), timedelta())
        await self._sleep(step_id, length, is_certain=length <= _SLEEP_CERTAIN_MAX)

    async def sleep_until(self, step_id: str, until: datetime) -> None:
        """Sleep until a moment, which needs a time zone; one that is past does not sleep at all."""
        if until.tzinfo is None:
            raise NonRetriableError(
                f"step {step_id!r}: {until.isoformat()} has no time zone; use datetime.now(UTC), for example"
            )
        length = until - datetime.fromtimestamp(time_ns() // 1_000_000_000, tz=UTC)
        await self._sleep(step_id, until, is_certain=length <= _SLEEP_CERTAIN_MAX)

    async def send_event(self, step_id: str, events: Event | Sequence[Event]) -> list[str]:
        """Send an event, or several, exactly once, and return their ids.

        The step is recorded and its events are stored in one transaction, whatever crashes. They carry the trace context
        of this step.
        """
        host = self._host
        call = host.begin(step_id, StepKind.SEND_EVENTS)
        try:
            if call.status is EXECUTE:
                batch = [events] if isinstance(events, Event) else list(events)
                if not batch:
                    host.abandon(call)
                    return []
                messages = [encode_event(event, index=index) for index, event in enumerate(batch)]
                _check_batch(messages, step_id, host.limits)
                await host.settle(call, reports.events_sent(call, messages, start_ns=time_ns()))
            if call.status is not COMPLETED:
                _fail(call)
        except BaseException:
            host.abandon(call)
            raise
        return list(call.entry.event_ids) if call.entry is not None else []

    async def _sleep(self, step_id: str, until: timedelta | datetime, *, is_certain: bool) -> None:
        host = self._host
        call = host.begin(step_id, StepKind.SLEEP)
        try:
            if call.status is EXECUTE:
                report = reports.sleep_started(call, until, start_ns=time_ns())
                await host.settle(call, report, is_certain=is_certain)
            elif call.status is BLOCKED:
                await host.settle(call)
            if call.status is not COMPLETED:
                _fail(call)
        except BaseException:
            host.abandon(call)
            raise

    async def _try(self, call: StepCall, handler: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
        """Run a step's body once; the result is its report."""
        start_ns = time_ns()
        token = SCOPE.set(call)
        try:
            value = handler(*args)
            if hasattr(value, "__await__"):
                value = await _awaited(call, value, is_async=self._host.is_async)
            data, call.value = encode(value, "the result of step", call.key)
            _check_output(data, call, self._host.limits)
        except Exception as error:
            log.warning(
                "step %r of run %s failed in try %d", call.key, call.machine.run_id, call.attempts + 1, exc_info=error
            )
            return reports.step_failed(call, error, start_ns=start_ns, now_ns=time_ns())
        finally:
            SCOPE.reset(token)
        return reports.step_completed(call, data, start_ns=start_ns)


class StepSync:
    """The steps of a plain `def` function: the same as those of `Step`, and blocking."""

    __slots__ = ("_step",)

    def __init__(self, step: Step) -> None:
        self._step = step

    def run(self, step_id: str, handler: Callable[[*Ts], T], *args: *Ts) -> T:
        """Run `handler(*args)` once, in this thread: what it returns is recorded, and returned by every replay.

        It is tried again if it raises an error; once it has failed for good, `StepError` is raised here. What it returns
        has to be JSON.
        """
        return finish(self._step.run(step_id, handler, *args))

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


async def _awaited(call: StepCall, value: Any, *, is_async: bool) -> Any:
    if is_async:
        return await value
    if isinstance(value, Coroutine):
        value.close()
    raise NonRetriableError(
        f"the handler of step {id_of(call.key)!r} is `async def`, but its function is a plain `def`; make the function "
        "`async def`, or the handler a plain one"
    )


def _fail(call: StepCall) -> NoReturn:
    if call.status is Status.REJECTED:
        raise RejectedError(f"the server refused step {call.key!r}: {call.problem}")
    failure = call.entry.failure if call.entry is not None else None
    raise StepError(
        name=failure.name if failure else "",
        message=failure.message if failure else "",
        stack=failure.stack if failure else "",
        step_id=id_of(call.key),
        step_key=call.key,
    )


def _check_output(data: bytes, call: StepCall, limits: Limits) -> None:
    most = limits.output_bytes_max
    if most and len(data) > most:
        raise TooLargeError(
            f"the result of step {call.key!r} has {len(data)} bytes; {most} are the most. Store it elsewhere and return where"
        )


def _check_batch(messages: Sequence[event_pb2.Event], step_id: str, limits: Limits) -> None:
    if limits.batch_events_max and len(messages) > limits.batch_events_max:
        raise TooLargeError(
            f"step {step_id!r} sends {len(messages)} events; {limits.batch_events_max} are the most. Send them in several steps"
        )
    for index, message in enumerate(messages):
        size = len(message.data.data)
        if limits.event_bytes_max and size > limits.event_bytes_max:
            raise TooLargeError(
                f"step {step_id!r}: the data of event {index} has {size} bytes; {limits.event_bytes_max} are the most. "
                "Store it elsewhere and send where"
            )
    total = sum(message.ByteSize() for message in messages)
    if limits.batch_bytes_max and total > limits.batch_bytes_max:
        raise TooLargeError(
            f"the events of step {step_id!r} have {total} bytes; {limits.batch_bytes_max} are the most. "
            "Send them in several steps"
        )
