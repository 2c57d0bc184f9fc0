"""WorkService: gives work out, by streams and by single calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc
from typing_extensions import override

from controlplane.engine.mailbox import Mailbox
from controlplane.engine.settings import Settings
from controlplane.errors import Stopping
from controlplane.gen.steplane.v1 import work_pb2, work_pb2_grpc
from controlplane.rpc.poll_work import Poll
from controlplane.rpc.report_work import report
from controlplane.rpc.stream_outbox import Patience
from controlplane.rpc.stream_work import Stream
from controlplane.rpc.work_terms import STOPPING, Terms

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class WorkService(work_pb2_grpc.WorkServiceServicer):
    """Gives work out."""

    def __init__(
        self,
        *,
        mailbox: Mailbox,
        settings: Settings,
        clock: Callable[[], int],
        version: str,
        patience: Patience | None = None,
    ) -> None:
        self._terms = Terms(
            mailbox=mailbox,
            settings=settings,
            clock=clock,
            server=f"steplane/{version}",
            patience=patience if patience is not None else Patience(),
        )
        self._open: set[Stream | Poll] = set()
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @override
    async def StreamWork(self, request_iterator: object, context: _Context) -> None:
        stream = Stream(self._terms, context)
        with self._counted(stream):
            await stream.run()

    @override
    async def PollWork(self, request: work_pb2.PollWorkRequest, context: _Context) -> work_pb2.PollWorkResponse:
        poll = Poll(self._terms, request, seconds_left=context.time_remaining())
        with self._counted(poll):
            return await poll.run()

    @override
    async def Report(self, request: work_pb2.ReportRequest, context: _Context) -> work_pb2.ReportResponse:
        return await report(self._terms, request)

    def drain(self) -> None:
        """Tell every worker that the server is going away, give them nothing more, and take no new ones."""
        self._is_draining = True
        for one in self._open:
            one.drain()

    async def wait_idle(self) -> None:
        """Return once no stream and no poll is open."""
        await self._idle.wait()

    def close(self) -> None:
        """End every stream and poll."""
        self._is_draining = True
        for one in self._open:
            one.close()

    @contextmanager
    def _counted(self, one: Stream | Poll) -> Iterator[None]:
        if self._is_draining:
            raise Stopping(STOPPING)
        self._open.add(one)
        self._idle.clear()
        try:
            yield
        finally:
            self._open.discard(one)
            if not self._open:
                self._idle.set()
