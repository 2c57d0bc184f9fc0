"""Stands between a worker and the server: a real gRPC server that passes all calls on, looks at each frame of the work
streams, and lets faults happen between two items of a frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import grpc
from grpc import aio

from conformance.case import Fault
from conformance.faults import Faults
from conformance.referee import Referee, StreamSeen
from conformance.wire import Wire
from controlplane.gen.steplane.v1 import work_pb2
from steplane.override import override

_STREAM_WORK: Final = "/steplane.v1.WorkService/StreamWork"
_OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
#: What belongs to a connection, not to a call.
_HOP: Final = ("user-agent", "grpc-", ":")
#: Actions after which the item that was under way does not arrive.
_LOSING: Final = ("drop", "cut", "kill worker", "kill server")

_Context = aio.ServicerContext[bytes, bytes]
_Sent, _Told = work_pb2.StreamWorkRequest, work_pb2.StreamWorkResponse


class Relay:
    """Of one worker process. `act` does what is done to processes; it is told the fault and the run's id."""

    def __init__(
        self, server: str, *, worker: int, faults: Faults, referee: Referee, act: Callable[[Fault, str], None]
    ) -> None:
        self.address = ""
        self.is_met = asyncio.Event()
        """The worker has its first stream."""
        self._worker = worker
        self._faults = faults
        self._referee = referee
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
        seen = StreamSeen(worker=self._worker)
        call: Any = self._channel.stream_stream(_STREAM_WORK)(metadata=_passed_on(context))
        up = asyncio.ensure_future(self._up(requests, call, seen))
        try:
            await self._down(call, context, seen)
        except aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata()))
        finally:
            up.cancel()
            call.cancel()
            with suppress(asyncio.CancelledError, aio.AioRpcError, asyncio.InvalidStateError):
                await up

    async def _up(self, requests: AsyncIterator[bytes], call: Any, seen: StreamSeen) -> None:
        async for data in requests:
            frame = _Sent.FromString(data)
            self._referee.sent(seen, frame, len(data))
            met = [(report, self._faults.of_report(report)) for report in frame.reports.reports]
            if not any(faults for _, faults in met):
                await call.write(data)
                continue
            for report, faults in met:
                part = _Sent(reports=work_pb2.Reports(reports=[report])).SerializeToString()
                for _ in await self._happen(faults, report.run_id):
                    await call.write(part)
        await call.done_writing()

    async def _down(self, call: Any, context: _Context, seen: StreamSeen) -> None:
        async for data in call:
            frame = _Told.FromString(data)
            if frame.HasField("welcome"):
                self.is_met.set()
            met = list(self._items(frame))
            if not any(faults for _, faults, _ in met):
                self._referee.told(seen, frame)
                await context.write(data)
                continue
            for part, faults, run_id in met:
                for _ in await self._happen(faults, run_id):
                    told = _stale(part) if any(fault.action == "stale" for fault in faults) else part
                    self._referee.told(seen, told)
                    await context.write(told.SerializeToString())

    async def _happen(self, faults: list[Fault], run_id: str) -> range:
        """Let them happen; once for each time that the item is to be passed on."""
        for fault in faults:
            if fault.action == "delay":
                await asyncio.sleep(fault.milliseconds / 1000)
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
        for ack in frame.acks.acks:
            yield _Told(acks=work_pb2.Acks(acks=[ack])), faults.of_ack(ack), ack.run_id
        for resolution in frame.resolutions.resolutions:
            part = _Told(resolutions=work_pb2.Resolutions(resolutions=[resolution]))
            yield part, faults.of_resolution(resolution), resolution.run_id
        for cancellation in frame.cancellations.cancellations:
            part = _Told(cancellations=work_pb2.Cancellations(cancellations=[cancellation]))
            yield part, faults.of_cancellation(cancellation), cancellation.run_id


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
