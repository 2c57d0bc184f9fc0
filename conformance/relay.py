"""Stands between a worker and the server: a real gRPC server that passes all calls on, looks at each frame of the work
streams, and lets faults happen between two items of a frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import grpc
from grpc import aio

from conformance.case import Fault
from conformance.faults import Faults
from conformance.referee import Referee
from conformance.seen import StreamSeen
from conformance.stage import RECONNECTS_SOON
from conformance.transcript import Transcript
from conformance.wire import Wire
from controlplane.gen.steplane.v1 import work_pb2
from steplane.override import override

_STREAM_WORK: Final = "/steplane.v1.WorkService/StreamWork"
_OPTIONS: Final = (
    *(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)),
    *RECONNECTS_SOON,
)
#: What belongs to a connection, not to a call.
_HOP: Final = ("user-agent", "grpc-", ":")
#: Actions after which the item that was under way does not arrive.
_LOSING: Final = ("drop", "cut", "kill worker", "kill server")

_Context = aio.ServicerContext[bytes, bytes]
_Sent, _Told = work_pb2.StreamWorkRequest, work_pb2.StreamWorkResponse


class Relay:
    """Of one worker process. `act` does what is done to processes; it is told the fault and the run's id."""

    def __init__(
        self,
        server: str,
        *,
        worker: int,
        faults: Faults,
        referee: Referee,
        transcript: Transcript,
        act: Callable[[Fault, str], None],
    ) -> None:
        self.address = ""
        self.is_met = asyncio.Event()
        """The worker has its first stream."""
        self._worker = worker
        self._faults = faults
        self._referee = referee
        self._transcript = transcript
        self._act = act
        self._channel = aio.insecure_channel(server, options=_OPTIONS)
        self._server = aio.server(options=_OPTIONS)
        self._wire = Wire()

    async def start(self) -> None:
        """Take calls."""
        self._server.add_generic_rpc_handlers((_Handler(self._unary, self._stream),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.address = await self._wire.start(port)

    def cut(self) -> None:
        """Break all connections, and be there for new ones at once."""
        self._wire.cut()

    async def close(self) -> None:
        """Leave nothing behind."""
        await self._wire.close()
        await self._server.stop(None)
        await self._channel.close()

    async def _unary(self, method: str, request: bytes, context: _Context) -> bytes:
        call: Any = self._channel.unary_unary(method)
        try:
            answer: bytes = await call(request, metadata=_passed_on(context), timeout=context.time_remaining())
        except aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata()))
            raise  # abort has done so
        return answer

    async def _stream(self, requests: AsyncIterator[bytes], context: _Context) -> None:
        call: Any = self._channel.stream_stream(_STREAM_WORK)(metadata=_passed_on(context))
        stream = _Stream(call, context, self._referee.opened(self._worker))
        up = asyncio.ensure_future(self._up(requests, stream))
        try:
            await self._down(stream)
        except aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata()))
        finally:
            up.cancel()
            call.cancel()
            with suppress(asyncio.CancelledError, aio.AioRpcError, asyncio.InvalidStateError):
                await up

    # From the worker to the server.

    async def _up(self, requests: AsyncIterator[bytes], stream: _Stream) -> None:
        try:
            async for data in requests:
                await self._pass_on(stream, data)
            await asyncio.gather(*stream.held.values())
        finally:
            for task in stream.held.values():
                task.cancel()
        await stream.call.done_writing()

    async def _pass_on(self, stream: _Stream, data: bytes) -> None:
        frame = _Sent.FromString(data)
        self._transcript.sent(stream.seen, frame)
        for run_id, epoch in self._referee.sent(stream.seen, frame, len(data)):
            lease = work_pb2.Lease(run_id=run_id, epoch=epoch)
            await self._happen(self._faults.of_forgotten(lease), run_id)
        met = [(report, self._faults.of_report(report)) for report in frame.reports.reports]
        if not any(faults or stream.before(report) for report, faults in met):
            await stream.send(data)
            return
        for report, faults in met:
            before = stream.before(report)
            if before or any(fault.action == "hold" for fault in faults):
                stream.held[report.run_id, report.step_key] = asyncio.ensure_future(
                    self._hold(stream, report, faults, before)
                )
            else:
                await self._report(stream, report, faults)

    async def _hold(
        self, stream: _Stream, report: work_pb2.Report, faults: list[Fault], before: Sequence[asyncio.Future[None]]
    ) -> None:
        """Pass a report on later, once its moment has come and those before it are passed on."""
        for each in before:
            await each
        for fault in faults:
            if fault.action == "hold":
                await self._faults.come(report.run_id, fault.until)
        await self._report(stream, report, faults)

    async def _report(self, stream: _Stream, report: work_pb2.Report, faults: list[Fault]) -> None:
        part = _Sent(reports=work_pb2.Reports(reports=[report])).SerializeToString()
        again = partial(self._tell_again, stream, report)
        for _ in await self._happen(faults, report.run_id, again=again):
            await stream.send(part)

    # From the server to the worker.

    async def _down(self, stream: _Stream) -> None:
        async for data in stream.call:
            frame = _Told.FromString(data)
            if frame.HasField("welcome"):
                self.is_met.set()
            met = list(self._items(frame))
            if not any(faults for _, faults, _ in met):
                await self._tell(stream, frame)
                continue
            for part, faults, run_id in met:
                for _ in await self._happen(faults, run_id):
                    is_stale = any(fault.action == "stale" for fault in faults)
                    await self._tell(stream, _stale(part) if is_stale else part)

    async def _tell(self, stream: _Stream, frame: work_pb2.StreamWorkResponse) -> None:
        self._transcript.told(stream.seen, frame)
        self._referee.told(stream.seen, frame)
        for ack in frame.acks.acks:
            stream.acks[ack.run_id, ack.step_key] = _Told(acks=work_pb2.Acks(acks=[ack]))
        await stream.tell(frame.SerializeToString())

    async def _tell_again(self, stream: _Stream, report: work_pb2.Report) -> None:
        """The last ack of this step."""
        told = stream.acks.get((report.run_id, report.step_key))
        if told is not None:
            await self._tell(stream, told)

    async def _happen(
        self, faults: list[Fault], run_id: str, *, again: Callable[[], Awaitable[None]] | None = None
    ) -> range:
        """Let them happen; once for each time that the item is to be passed on."""
        for fault in faults:
            self._transcript.fault(fault)
            if fault.action == "delay":
                await asyncio.sleep(fault.milliseconds / 1000)
            elif fault.action == "repeat ack":
                assert again is not None, "only reports have acks"
                await again()
            else:
                self._act(fault, run_id)
        actions = {fault.action for fault in faults}
        if actions.intersection(_LOSING):
            return range(0)
        return range(2 if "repeat" in actions else 1)

    def _items(
        self, frame: work_pb2.StreamWorkResponse
    ) -> Iterator[tuple[work_pb2.StreamWorkResponse, list[Fault], str]]:
        """The frame as frames of one item each, with the faults of that item."""
        faults = self._faults
        for invocation in frame.invocations.invocations:
            part = _Told(invocations=work_pb2.Invocations(invocations=[invocation]))
            yield part, faults.of_invocation(invocation), invocation.run_id
        if frame.HasField("journal_part"):
            yield frame, faults.of_journal_part(frame.journal_part), frame.journal_part.run_id
        for ack in frame.acks.acks:
            yield _Told(acks=work_pb2.Acks(acks=[ack])), faults.of_ack(ack), ack.run_id
        for resolution in frame.resolutions.resolutions:
            part = _Told(resolutions=work_pb2.Resolutions(resolutions=[resolution]))
            yield part, faults.of_resolution(resolution), resolution.run_id
        for cancellation in frame.cancellations.cancellations:
            part = _Told(cancellations=work_pb2.Cancellations(cancellations=[cancellation]))
            yield part, faults.of_cancellation(cancellation), cancellation.run_id


class _Stream:
    """One stream of the worker, with its other half. In each direction there is one frame at a time."""

    def __init__(self, call: Any, context: _Context, seen: StreamSeen) -> None:
        self.call = call
        self.seen = seen
        self.held: dict[tuple[str, str], asyncio.Future[None]] = {}
        """Reports that were held, each by its run and its step: that step might have taken so long."""
        self.acks: dict[tuple[str, str], work_pb2.StreamWorkResponse] = {}
        """The last ack of each step that was told on it."""
        self._context = context
        self._up_is_free = asyncio.Lock()
        self._down_is_free = asyncio.Lock()

    def before(self, report: work_pb2.Report) -> list[asyncio.Future[None]]:
        """What was held that a report must not overtake: one of the same step, and an outcome none of its run."""
        return [
            held
            for (run_id, key), held in self.held.items()
            if run_id == report.run_id and report.step_key in ("", key)
        ]

    async def send(self, data: bytes) -> None:
        """Write a frame to the server; nothing if the call is over, which its other direction tells."""
        async with self._up_is_free:
            with suppress(aio.AioRpcError, asyncio.InvalidStateError):
                await self.call.write(data)

    async def tell(self, data: bytes) -> None:
        """Write a frame to the worker."""
        async with self._down_is_free:
            await self._context.write(data)


class _Handler(grpc.GenericRpcHandler):
    """Takes any method, as bytes."""

    def __init__(self, unary: Any, stream: Any) -> None:
        self._unary = unary
        self._stream = stream

    @override
    def service(self, handler_call_details: Any) -> Any:
        """How a call is handled: StreamWork as a stream, all else as one request and one answer."""
        method = handler_call_details.method
        if method == _STREAM_WORK:
            return grpc.stream_stream_rpc_method_handler(self._stream)

        async def unary(request: bytes, context: _Context) -> bytes:
            answer: bytes = await self._unary(method, request, context)
            return answer

        return grpc.unary_unary_rpc_method_handler(unary)


def _passed_on(context: _Context) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((key, value) for key, value in context.invocation_metadata() or () if not key.startswith(_HOP))


def _stale(part: work_pb2.StreamWorkResponse) -> work_pb2.StreamWorkResponse:
    """The ack of this part, as one that says that the lease was lost."""
    told = _Told()
    told.CopyFrom(part)
    told.acks.acks[0].status = work_pb2.ACK_STATUS_STALE_EPOCH
    told.acks.acks[0].ClearField("entry")
    return told
