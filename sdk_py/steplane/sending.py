"""Sends events and signals from outside of runs: until the server has them, or has refused them, or the time is over.

To try events again is safe: each has an id, so that one that was stored before its answer was lost is not stored again.
A signal has none: it is tried again only if the server surely did not take it.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import grpc

from steplane.codec import encode, encode_event
from steplane.errors import SendError
from steplane.event import Event
from steplane.gen.steplane.v1 import event_pb2, event_pb2_grpc
from steplane.transport import Target, retry_delay_of, violations_of

_CALL_SECONDS_MAX: Final = 10.0
_DELAY_MIN: Final = 0.1
_DELAY_MAX: Final = 5.0
_REFUSALS: Final = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED)
#: What gRPC says of a call that never left.
_NOT_CONNECTED: Final = re.compile(
    r"failed to connect to all addresses|DNS resolution failed|errors? resolving", re.IGNORECASE
)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Calls(Protocol):
    """How a call is made and time is passed: giving way to an event loop, or blocking the thread."""

    async def call(self, method: Any, request: Any, seconds_max: float) -> Any:
        """Call a method of the server once. Raises `grpc.RpcError`."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        ...


class BlockingCalls:
    """Calls that block the thread."""

    async def call(self, method: Any, request: Any, seconds_max: float) -> Any:
        """Call the server once."""
        return method(request, timeout=seconds_max)

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)  # noqa: ASYNC251 it is meant to block


class LoopCalls:
    """Calls that give way to the running event loop. They use the same channel, whichever loop it is."""

    async def call(self, method: Any, request: Any, seconds_max: float) -> Any:
        """Call the server once."""
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        call = method.future(request, timeout=seconds_max)
        call.add_done_callback(lambda _: _wake(loop, answered))
        try:
            await answered
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call.result()

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


class Sender:
    """Sends the events and signals of one client."""

    def __init__(self, target: Target, namespace: str) -> None:
        self._target = target
        self._namespace = namespace
        self._channel: grpc.Channel | None = None

    async def send(self, events: Sequence[Event], *, seconds_max: float, calls: Calls) -> list[str]:
        """Send a batch. Raises `SendError`."""
        if not events:
            return []
        request = event_pb2.SendEventsRequest(namespace=self._namespace)
        for index, event in enumerate(events):
            message = encode_event(event, index=index)
            message.id = message.id or _new_id()
            request.events.append(message)
        try:
            response = await _call(self._stub().SendEvents, request, seconds_max, calls, may_repeat=True)
        except grpc.RpcError as error:
            raise self._refusal(error, "the events") from error
        return list(response.ids)

    async def send_signal(self, signal: str, data: Any, *, seconds_max: float, calls: Calls) -> str:
        """Send a signal, and return the id of the run that got it. Raises `SendError`."""
        request = event_pb2.SendSignalRequest(namespace=self._namespace, signal=signal)
        request.data.data = encode(data, "the data of signal", signal)[0]
        try:
            response = await _call(self._stub().SendSignal, request, seconds_max, calls, may_repeat=False)
        except grpc.RpcError as error:
            raise self._refusal(error, f"signal {signal!r}") from error
        return str(response.run_id)

    def close(self) -> None:
        """Close the connection; the next `send` opens another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _stub(self) -> event_pb2_grpc.EventServiceStub:
        if self._channel is None:
            self._channel = self._target.open()
        return event_pb2_grpc.EventServiceStub(self._channel)

    def _refusal(self, error: grpc.RpcError, what: str) -> SendError:
        code = error.code()
        violations = violations_of(error)
        if code in _REFUSALS:
            message = f"the server refused {what}" if violations else f"the server refused {what}: {error.details()}"
        else:
            message = f"{what} could not be sent: {self._target.explain(error)}"
        return SendError(message, code=code.name, violations=violations)


async def _call(method: Any, request: Any, seconds_max: float, calls: Calls, *, may_repeat: bool) -> Any:
    """Call until it succeeds, or there should be no further try, or the time is over. Raises `grpc.RpcError`."""
    deadline = time.monotonic() + seconds_max
    delay_max = _DELAY_MIN
    before: grpc.RpcError | None = None
    while True:
        left = max(deadline - time.monotonic(), 0.001)
        try:
            return await calls.call(method, request, min(left, _CALL_SECONDS_MAX))
        except grpc.RpcError as error:
            pause = _pause_after(error, delay_max) if may_repeat else _pause_if_not_taken(error, delay_max)
            if pause is None or time.monotonic() + pause >= deadline:
                if may_repeat and before is not None and left < _CALL_SECONDS_MAX and _is_late(error):
                    # The time was over before this try came to anything: what is wrong is what the one before it met.
                    raise before from None
                raise
            before = error
        await calls.pause(pause)
        delay_max = min(delay_max * 2, _DELAY_MAX)


def _is_late(error: grpc.RpcError) -> bool:
    return bool(error.code() is grpc.StatusCode.DEADLINE_EXCEEDED)


def _pause_after(error: grpc.RpcError, delay_max: float) -> float | None:
    """How long to wait before the next try, or `None` if there should be none."""
    jitter = random.uniform(0, delay_max)  # noqa: S311 no secret
    match error.code():
        # A server that stops may end a call that it has not looked at as CANCELLED; who cancels here gets no status.
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
            return (retry_delay_of(error) or 0) + jitter
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            # Without RetryInfo it is a message that is too large, which is so for ever.
            delay = retry_delay_of(error)
            return None if delay is None else delay + jitter
        case _:
            return None


def _pause_if_not_taken(error: grpc.RpcError, delay_max: float) -> float | None:
    """The same for what must not be done twice: only if the server surely did not do it."""
    was_refused = retry_delay_of(error) is not None
    was_not_heard = _NOT_CONNECTED.search(error.details() or "") is not None
    return _pause_after(error, delay_max) if was_refused or was_not_heard else None


def _wake(loop: asyncio.AbstractEventLoop, answered: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_answer, answered)
    except RuntimeError:
        return  # the loop is closed: nobody waits any more


def _answer(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_result(None)


def _new_id() -> str:
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
