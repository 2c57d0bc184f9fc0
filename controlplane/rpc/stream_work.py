"""StreamWork: one stream of one worker is its session.

Frames go in as commands: a full mailbox is waited for, and meanwhile the stream is not read. However a stream ends, the
engine is told.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import grpc
import structlog

from controlplane.core.limits import SECOND
from controlplane.engine.commands import (
    Command,
    Connect,
    Disconnect,
    Drain,
    GrantCredit,
    Heartbeat,
    Release,
    SubmitReports,
    Welcomed,
)
from controlplane.errors import FailedPrecondition, SteplaneError, Stopping, TimedOut
from controlplane.gen.steplane.v1 import work_pb2
from controlplane.rpc import validate
from controlplane.rpc.frames import welcome_frame
from controlplane.rpc.reports import leases_of, reports_of
from controlplane.rpc.stream_outbox import StreamOutbox
from controlplane.rpc.work_terms import STOPPING, Terms

log = structlog.get_logger(__name__)

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Frame: TypeAlias = work_pb2.StreamWorkRequest


class Stream:
    """One stream, from its hello to its end."""

    def __init__(self, terms: Terms, context: _Context) -> None:
        self._terms = terms
        self._mailbox = terms.mailbox
        self._context = context
        self._outbox = StreamOutbox(
            context.write, frame_bytes_max=terms.settings.limits.frame_bytes_max, patience=terms.patience
        )
        self._namespace = ""
        self._session_id = ""
        self._is_draining = False

    async def run(self) -> None:
        """Talk with the worker until either side ends the stream."""
        hello = await self._read_hello()
        welcomed = await self._connect(hello)
        self._session_id = welcomed.session_id
        logger = log.bind(session_id=welcomed.session_id, app_id=hello.app_id, instance_id=hello.instance_id)
        logger.info("worker_connected", sdk=hello.sdk, functions=len(hello.function_ids), resumed=len(welcomed.resumed))
        reason = "the stream broke"
        try:
            if self._is_draining:
                self._terms.order(Drain(session_id=self._session_id))
            await self._outbox.send(welcome_frame(welcomed, self._terms.settings, self._terms.server))
            await self._talk()
            reason = "the worker left"
        except SteplaneError as error:
            reason = str(error)
            raise
        finally:
            self._terms.order(Disconnect(session_id=self._session_id))
            logger.info("worker_disconnected", reason=reason)

    def drain(self) -> None:
        """Tell the worker that the server is going away."""
        self._is_draining = True
        self._outbox.tell_server_drain(STOPPING)
        if self._session_id:
            self._terms.order(Drain(session_id=self._session_id))

    def close(self) -> None:
        """End the stream."""
        self._outbox.break_off(Stopping(STOPPING))

    async def _read_hello(self) -> work_pb2.Hello:
        seconds = self._terms.patience.hello_timeout / SECOND
        try:
            async with asyncio.timeout(seconds):
                frame = await self._context.read()
        except TimeoutError:
            raise TimedOut(f"no hello came within {seconds:g} seconds") from None
        if frame is grpc.aio.EOF or frame.WhichOneof("frame") != "hello":
            raise FailedPrecondition("the first frame of a stream must be hello", reason="HELLO_MISSING")
        hello: work_pb2.Hello = frame.hello
        validate.refuse(validate.hello(hello))
        return hello

    async def _connect(self, hello: work_pb2.Hello) -> Welcomed:
        self._namespace = hello.namespace or validate.DEFAULT_NAMESPACE
        answer = self._mailbox.submit(
            Connect(
                namespace=self._namespace,
                app_id=hello.app_id,
                function_ids=tuple(hello.function_ids),
                instance_id=hello.instance_id,
                sdk=hello.sdk,
                language=hello.language,
                held=leases_of(hello.held),
                outbox=self._outbox,
            )
        )
        try:
            welcomed: Welcomed = await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(self._disconnect_unheard)
            raise
        return welcomed

    def _disconnect_unheard(self, answer: asyncio.Future[Welcomed]) -> None:
        """The worker left before it was welcome: the session is there all the same."""
        if not answer.cancelled() and answer.exception() is None:
            self._terms.order(Disconnect(session_id=answer.result().session_id))

    async def _talk(self) -> None:
        reading = asyncio.create_task(self._read())
        writing = asyncio.create_task(self._outbox.run())
        waiting: set[asyncio.Future[Any]] = {reading, writing, self._outbox.broken}
        try:
            while not writing.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    if one is self._outbox.broken:
                        raise self._outbox.broken.result()
                    one.result()
        finally:
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self) -> None:
        read, post = self._context.read, self._mailbox.post
        while (frame := await read()) is not grpc.aio.EOF:
            command = self._command_of(frame)
            if command is not None:
                await post(command)
        # What was reported before the end is acknowledged before the server ends the stream too.
        await self._mailbox.submit_internal(Drain(session_id=self._session_id))
        self._outbox.end()

    def _command_of(self, frame: _Frame) -> Command | None:
        session_id = self._session_id
        match frame.WhichOneof("frame"):
            case "reports":
                reports = reports_of(frame.reports.reports, self._terms.settings.limits, self._terms.clock())
                return SubmitReports(
                    session_id=session_id, namespace=self._namespace, reports=reports, size=frame.ByteSize()
                )
            case "credit":
                return GrantCredit(session_id=session_id, invocation_limit=frame.credit.invocation_limit)
            case "heartbeat":
                return Heartbeat(session_id=session_id, held=leases_of(frame.heartbeat.held))
            case "release":
                return Release(session_id=session_id, leases=leases_of(frame.release.leases))
            case "drain":
                self._outbox.tell_drained()
                return Drain(session_id=session_id)
            case "hello":
                raise FailedPrecondition("a stream has one hello", reason="SECOND_HELLO")
            case _:
                log.debug("frame_ignored", session_id=session_id)
                return None
