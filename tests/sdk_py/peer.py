"""A server that says what a test tells it to: for what a real one can't be made to do on demand.

It speaks the contract over real sockets, and decides nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeAlias

import grpc

from steplane.gen.steplane.v1 import (
    event_pb2,
    event_pb2_grpc,
    function_pb2,
    function_pb2_grpc,
    run_pb2,
    work_pb2,
    work_pb2_grpc,
)

SECONDS_MAX = 30.0
"""For what comes at once, unless something is wrong: however busy the machine is."""
"""Nothing that a test waits for takes so long."""

Lease: TypeAlias = tuple[str, int]


class Cut(Exception):
    """Ends a stream as a test said."""


class PeerStream:
    """One StreamWork stream, as the server sees it."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self.context = context
        self.hello = work_pb2.Hello()
        self._came: SimpleQueue[work_pb2.StreamWorkRequest | None] = SimpleQueue()
        self._going: SimpleQueue[work_pb2.StreamWorkResponse | tuple[grpc.StatusCode, str] | None] = SimpleQueue()

    # What a test says.

    def welcome(
        self,
        *,
        resumed: Iterable[Lease] = (),
        heartbeat_interval: float = 60,
        session_timeout: float = 120,
        **limits: int,
    ) -> PeerStream:
        """Answer the hello."""
        message = work_pb2.Welcome(session_id="s1", server="peer/1")
        message.heartbeat_interval.FromNanoseconds(int(heartbeat_interval * 1e9))
        message.session_timeout.FromNanoseconds(int(session_timeout * 1e9))
        message.resumed.extend(work_pb2.Lease(run_id=run_id, epoch=epoch) for run_id, epoch in resumed)
        message.limits.run_steps_max = limits.pop("run_steps_max", 1000)
        for name, value in limits.items():
            setattr(message.limits, name, value)
        self.send(welcome=message)
        return self

    def send(self, **frame: Any) -> None:
        """Send a frame; without any it is one of a kind that nobody knows yet."""
        self._going.put(work_pb2.StreamWorkResponse(**frame))

    def invoke(
        self,
        run_id: str = "r1",
        *,
        epoch: int = 1,
        function: str = "f",
        journal: Sequence[run_pb2.JournalEntry] = (),
        remaining: int = 0,
        data: bytes = b"{}",
    ) -> None:
        """Send an invocation."""
        message = work_pb2.Invocation(run_id=run_id, epoch=epoch, function_id=function, journal_remaining=remaining)
        message.journal.extend(journal)
        message.events.add(id="e1", name="app/a").data.data = data
        message.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        self.send(invocations=work_pb2.Invocations(invocations=[message]))

    def ack(
        self,
        report: work_pb2.Report,
        status: work_pb2.AckStatus = work_pb2.ACK_STATUS_COMMITTED,
        *,
        entry: run_pb2.JournalEntry | None = None,
        message: str = "",
    ) -> None:
        """Answer a report."""
        ack = work_pb2.Ack(
            run_id=report.run_id,
            epoch=report.epoch,
            step_key=report.step_key,
            status=status,
            message=message,
            entry=entry,
        )
        self.send(acks=work_pb2.Acks(acks=[ack]))

    def resolve(self, entry: run_pb2.JournalEntry, run_id: str = "r1", epoch: int = 1) -> None:
        """Let a blocked step go on."""
        resolution = work_pb2.Resolution(run_id=run_id, epoch=epoch, entry=entry)
        self.send(resolutions=work_pb2.Resolutions(resolutions=[resolution]))

    def end(self, code: grpc.StatusCode = grpc.StatusCode.OK, details: str = "") -> None:
        """End the stream from this side."""
        self._going.put((code, details))

    def take(self, kind: str) -> Any:
        """The worker's next frame, which has to be of this kind; credits and heartbeats come when they come."""
        while True:
            frame = self._came.get(timeout=SECONDS_MAX)
            found = frame.WhichOneof("frame") if frame is not None else "end"
            if found == kind:
                return getattr(frame, kind) if frame is not None else None
            assert found in ("credit", "heartbeat"), f"{kind} was expected, and {found} came: {frame}"

    def take_reports(self, count: int = 1) -> list[work_pb2.Report]:
        """The next reports, so many, in however many frames."""
        reports: list[work_pb2.Report] = []
        while len(reports) < count:
            reports += self.take("reports").reports
        assert len(reports) == count, reports
        return reports

    def take_report(self) -> work_pb2.Report:
        """The next report, alone in its frame."""
        return self.take_reports(1)[0]

    # What gRPC does.

    def read(self, requests: Iterator[work_pb2.StreamWorkRequest]) -> None:
        """Read the worker's frames."""
        try:
            for request in requests:
                self._came.put(request)
        except Exception:  # noqa: BLE001 however it ends, it has ended
            pass
        self._came.put(None)
        self.stop()

    def frames(self) -> Iterator[work_pb2.StreamWorkResponse]:
        """What the test said."""
        while (frame := self._going.get()) is not None:
            if isinstance(frame, tuple):
                if frame[0] is not grpc.StatusCode.OK:
                    self.context.abort(*frame)
                return
            yield frame

    def stop(self) -> None:
        """Let `frames` end."""
        self._going.put(None)


class Peer(
    work_pb2_grpc.WorkServiceServicer, function_pb2_grpc.FunctionServiceServicer, event_pb2_grpc.EventServiceServicer
):
    """The scripted server."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None, port: int = 0) -> None:
        self.registered: list[function_pb2.FunctionDefinition] = []
        self.sent: list[event_pb2.SendEventsRequest] = []
        self.signalled: list[event_pb2.SendSignalRequest] = []
        self.send_answers: list[Any] = []
        """What SendEvents and SendSignal do, one call after the other: a status to end with, else it succeeds."""
        self._streams: SimpleQueue[PeerStream] = SimpleQueue()
        self._open: set[PeerStream] = set()
        self._server = grpc.server(ThreadPoolExecutor(16))
        work_pb2_grpc.add_WorkServiceServicer_to_server(self, self._server)
        function_pb2_grpc.add_FunctionServiceServicer_to_server(self, self._server)
        event_pb2_grpc.add_EventServiceServicer_to_server(self, self._server)
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def accept(self) -> PeerStream:
        """The next stream, with its hello, and not welcome yet."""
        stream = self._streams.get(timeout=SECONDS_MAX)
        stream.hello = stream.take("hello")
        return stream

    def stop(self) -> None:
        """Cut every connection."""
        for stream in list(self._open):
            stream.stop()
        self._server.stop(0).wait(SECONDS_MAX)

    def RegisterFunction(  # noqa: D102, N802 it is the contract's
        self, request: function_pb2.RegisterFunctionRequest, context: grpc.ServicerContext
    ) -> function_pb2.RegisterFunctionResponse:
        self.registered.append(request.definition)
        return function_pb2.RegisterFunctionResponse(version=1)

    def SendEvents(  # noqa: D102, N802 it is the contract's
        self, request: event_pb2.SendEventsRequest, context: grpc.ServicerContext
    ) -> event_pb2.SendEventsResponse:
        self.sent.append(request)
        if self.send_answers and (answer := self.send_answers.pop(0)) is not None:
            context.abort_with_status(answer)
        return event_pb2.SendEventsResponse(ids=[event.id for event in request.events])

    def SendSignal(  # noqa: D102, N802 it is the contract's
        self, request: event_pb2.SendSignalRequest, context: grpc.ServicerContext
    ) -> event_pb2.SendSignalResponse:
        self.signalled.append(request)
        if self.send_answers and (answer := self.send_answers.pop(0)) is not None:
            context.abort_with_status(answer)
        return event_pb2.SendSignalResponse(run_id="r1")

    def StreamWork(  # noqa: D102, N802 it is the contract's
        self, request_iterator: Iterator[work_pb2.StreamWorkRequest], context: grpc.ServicerContext
    ) -> Iterator[work_pb2.StreamWorkResponse]:
        stream = PeerStream(context)
        self._open.add(stream)
        threading.Thread(target=stream.read, args=(request_iterator,), daemon=True).start()
        context.add_callback(stream.stop)
        self._streams.put(stream)
        yield from stream.frames()


def entry(key: str, kind: run_pb2.StepKind, state: run_pb2.StepState, **fields: Any) -> run_pb2.JournalEntry:
    """A recorded step. `output` are its bytes, `due` whether it has to wait yet."""
    message = run_pb2.JournalEntry(step_key=key, kind=kind, state=state)
    message.output.data = fields.pop("output", b"")
    if fields.pop("due", False):
        message.due_time.seconds = 4_000_000_000
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def completed(key: str, output: bytes) -> run_pb2.JournalEntry:
    """A run step that is done."""
    return entry(key, run_pb2.STEP_KIND_RUN, run_pb2.STEP_STATE_COMPLETED, output=output, attempts=1)


def asleep(key: str) -> run_pb2.JournalEntry:
    """A sleep that goes on."""
    return entry(key, run_pb2.STEP_KIND_SLEEP, run_pb2.STEP_STATE_PENDING, due=True)


def awake(key: str) -> run_pb2.JournalEntry:
    """A sleep that is over."""
    return entry(key, run_pb2.STEP_KIND_SLEEP, run_pb2.STEP_STATE_COMPLETED)


def retrying(key: str, attempts: int, *, due: bool) -> run_pb2.JournalEntry:
    """A run step that failed so far; `due` says that it has to wait yet."""
    return entry(key, run_pb2.STEP_KIND_RUN, run_pb2.STEP_STATE_RETRYING, attempts=attempts, due=due)


def failed(key: str, message: str) -> run_pb2.JournalEntry:
    """A run step that failed for good."""
    made = entry(key, run_pb2.STEP_KIND_RUN, run_pb2.STEP_STATE_FAILED, attempts=5)
    made.failure.name = "ValueError"
    made.failure.message = message
    return made
