# ruff: noqa: ASYNC109 the time-out of a step is kept by the server
"""What a function can do durably: run, sleep, send, wait, invoke. One logic for `async def` and plain `def` functions.

`Step` is written as coroutines; what they await is their host's: it gives way to the event loop in an async function, and
blocks the thread in a plain one, where `StepSync` runs the very same coroutines to their end.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, Final, Literal, NoReturn, TypeVar, TypeVarTuple, overload

from steplane import reports, sizes, waiting
from steplane.codec import decode, encode, encode_event, event_of
from steplane.errors import NonRetriableError, RejectedError, StepError
from steplane.event import Event
from steplane.function import Function
from steplane.host import StepHost
from steplane.replay.journal import StepKind
from steplane.replay.key import step_id as id_of
from steplane.replay.machine import BLOCKED, COMPLETED, EXECUTE, Status, StepCall
from steplane.retry import Retry
from steplane.scope import SCOPE
from steplane.waiting import Since, Waited

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = logging.getLogger("steplane.worker")

_RUN: Final = StepKind.RUN  # looked up once: an enum's members are slow to find

#: The server takes sleeps of up to 366 days; one that is surely shorter need not wait for its ack to be parked.
_SLEEP_CERTAIN_MAX: Final = timedelta(days=365)


class Step:
    """The steps of an `async def` function."""

    __slots__ = ("_host",)

    def __init__(self, host: StepHost) -> None:
        self._host = host

    @overload
    async def run(
        self, step_id: str, handler: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts, retry: Retry | None = None
    ) -> T: ...
    @overload
    async def run(
        self, step_id: str, handler: Callable[[*Ts], Awaitable[T]], *args: *Ts, retry: Retry | None = None
    ) -> T: ...
    @overload
    async def run(self, step_id: str, handler: Callable[[*Ts], T], *args: *Ts, retry: Retry | None = None) -> T: ...
    async def run(self, step_id: str, handler: Callable[..., Any], *args: Any, retry: Retry | None = None) -> Any:  # type: ignore[misc]  # it takes all
        """Run `handler(*args)` once: what it returns is recorded, and returned by every replay.

        It is tried again if it raises an error, as `retry` says, else as its function does; once it has failed for good,
        `StepError` is raised here. What it returns has to be JSON. A plain `def` handler runs on the event loop, and so
        should not block.
        """
        host = self._host
        call = host.begin(step_id, _RUN)
        try:
            while call.status is not COMPLETED:
                if call.status is EXECUTE:
                    # Without that, a process that was frozen would do again what others did meanwhile.
                    await host.settle(call, await self._try(call, handler, args, retry) if host.is_sure else None)
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
        length = max(waiting.duration_of(step_id, "duration", duration), timedelta())
        await self._sleep(step_id, length, is_certain=length <= _SLEEP_CERTAIN_MAX)

    async def sleep_until(self, step_id: str, until: datetime) -> None:
        """Sleep until a moment, which needs a time zone; one that is past does not sleep at all."""
        length = waiting.moment_of(step_id, until) - datetime.fromtimestamp(time_ns() // 1_000_000_000, tz=UTC)
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
                sizes.check_batch(messages, step_id, host.limits)
                await host.settle(call, reports.events_sent(call, messages, start_ns=time_ns()))
            elif call.status is BLOCKED:
                await host.settle(call)
            if call.status is not COMPLETED:
                _fail(call)
        except BaseException:
            host.abandon(call)
            raise
        return list(call.entry.event_ids) if call.entry is not None else []

    @overload
    async def wait_for_event(
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
    async def wait_for_event(
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
    async def wait_for_event(
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
        """Wait for an event, and return it, or `None` once `timeout` has passed: up to 366 days, which is the default.

        `event` is a name, whose `*` at the end matches any rest, or a `WaitedEvent`, or up to 10 of these: then any of
        them is waited for, or, with `all_of`, all of them, which come back in the order of `event`. `match` is a path,
        for example `data.user_id`, that has the same value in the event that started the run and in the one waited for;
        `if_exp` is a CEL expression over both, as `event` and `async`.

        What came before this step is no answer, unless `since` says so: it is the moment from which on events count, or
        "run" for that at which the run was made. So nobody has to wait before somebody else answers.
        """

        def report(call: StepCall) -> bytes:
            wait = waiting.wait_for_event(
                step_id, event=event, match=match, if_exp=if_exp, timeout=timeout, since=since, all_of=all_of
            )
            return reports.wait_started(call, wait, start_ns=time_ns())

        output = await self._ask(step_id, StepKind.WAIT_FOR_EVENT, report)
        if output is None:
            return None
        return [event_of(each) for each in output] if all_of else event_of(output)

    async def invoke(
        self,
        step_id: str,
        *,
        function: Function[Any] | str,
        data: Mapping[str, Any] | None = None,
        timeout: timedelta | int | None = None,
    ) -> Any:
        """Run another function, and return what it returned.

        `function` is a function of this program, or the id of any: `"charge"` of this app, `"billing/charge"` of another.
        `data` is the data of the event that it gets. Raises `StepError` if its run fails, with that error's name, message
        and stack; or if the run was cancelled, skipped, could not be made, or took longer than `timeout` (up to 366 days,
        which is the default), which the error's `reason` tells. A run that took longer goes on.
        """

        def report(call: StepCall) -> bytes:
            request = waiting.invoke(step_id, function=function, data=data, timeout=timeout, limits=self._host.limits)
            return reports.invoke_started(call, request, start_ns=time_ns())

        return await self._ask(step_id, StepKind.INVOKE, report)

    async def wait_for_signal(
        self,
        step_id: str,
        *,
        signal: str,
        timeout: timedelta | int | None = None,
        on_conflict: Literal["fail", "replace"] = "fail",
    ) -> Any:
        """Wait for a signal, and return its data, or `None` once `timeout` has passed: up to 366 days, as by default.

        One step only can wait for a signal, so its name should have something unique, for example `f"approve/{order}"`.
        If another one waits for it, this step fails, or replaces that one, which then fails: both with `StepError`, whose
        reason is SIGNAL_IN_USE or SIGNAL_REPLACED.
        """

        def report(call: StepCall) -> bytes:
            wait = waiting.wait_for_signal(step_id, signal=signal, timeout=timeout, on_conflict=on_conflict)
            return reports.signal_wait_started(call, wait, start_ns=time_ns())

        return await self._ask(step_id, StepKind.WAIT_FOR_SIGNAL, report)

    async def send_signal(self, step_id: str, *, signal: str, data: Any = None) -> str:
        """Send a signal, with any JSON value, to the run that waits for it, exactly once, and return that run's id.

        Raises `StepError` with the reason SIGNAL_NOT_FOUND if no run waits for it.
        """

        def report(call: StepCall) -> bytes:
            message = waiting.send_signal(step_id, signal=signal, data=data, limits=self._host.limits)
            return reports.signal_sent(call, message, start_ns=time_ns())

        return str(await self._ask(step_id, StepKind.SEND_SIGNAL, report))

    async def _sleep(self, step_id: str, until: timedelta | datetime, *, is_certain: bool) -> None:
        def report(call: StepCall) -> bytes:
            return reports.sleep_started(call, until, start_ns=time_ns())

        await self._ask(step_id, StepKind.SLEEP, report, is_certain=is_certain)

    async def _ask(
        self, step_id: str, kind: StepKind, report: Callable[[StepCall], bytes], *, is_certain: bool = False
    ) -> Any:
        """Do a step that the server does: it is told once, and says what comes of it, now or later."""
        host = self._host
        call = host.begin(step_id, kind)
        try:
            if call.status is EXECUTE:
                await host.settle(call, report(call), is_certain=is_certain)
            elif call.status is BLOCKED:
                await host.settle(call)
            if call.status is not COMPLETED:
                _fail(call)
        except BaseException:
            host.abandon(call)
            raise
        entry = call.entry
        return None if entry is None else decode(entry.output, entry.encoding)

    async def _try(
        self, call: StepCall, handler: Callable[..., Any], args: tuple[Any, ...], retry: Retry | None
    ) -> bytes:
        """Run a step's body once; the result is its report."""
        start_ns = time_ns()
        token = SCOPE.set(call)
        try:
            value = handler(*args)
            if hasattr(value, "__await__"):
                value = await _awaited(call, value, is_async=self._host.is_async)
            data, call.value = encode(value, "the result of step", call.key)
            sizes.check_output(data, call.key, self._host.limits)
        except Exception as error:
            log.warning(
                "step %r of run %s failed in try %d", call.key, call.machine.run_id, call.attempts + 1, exc_info=error
            )
            return reports.step_failed(call, error, retry=retry, start_ns=start_ns, now_ns=time_ns())
        finally:
            SCOPE.reset(token)
        return reports.step_completed(call, data, start_ns=start_ns)


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
        reason=failure.reason if failure else "",
    )
