"""A whole server in this process, over a real socket, with the clock in the test's hand; and a worker made of frames."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from controlplane.engine.committer import Committer
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import (
    event_pb2,
    event_pb2_grpc,
    function_pb2,
    function_pb2_grpc,
    run_pb2_grpc,
    work_pb2_grpc,
)
from controlplane.gen.steplane.v1 import work_pb2 as work
from controlplane.rpc.functions import FunctionService
from controlplane.rpc.questions import Questions
from controlplane.rpc.runs import RunService
from controlplane.rpc.send_events import EventService
from controlplane.rpc.server import RpcServer, Services
from controlplane.rpc.stream_outbox import Patience
from controlplane.rpc.work import WorkService
from controlplane.store.interface import RunFilter, Store
from controlplane.store.sqlite.open import SqliteStore

NOW = 1_800_000_000_000_000
#: Longer than anything here takes: a test that waits for what never comes fails with what it had.
PATIENCE_SECONDS = 10
APP = "shop"

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@dataclass
class HandClock:
    """Stands still until the test moves it."""

    moment: int = NOW

    def __call__(self) -> int:
        """The moment, in microseconds since 1970."""
        return self.moment


@dataclass
class Served:
    """A server, and clients of its services."""

    store: Store
    mailbox: Mailbox
    clock: HandClock
    services: Services
    work_service: WorkService
    server: RpcServer
    address: str
    channel: grpc.aio.Channel
    events: event_pb2_grpc.EventServiceStub = field(init=False)
    functions: function_pb2_grpc.FunctionServiceStub = field(init=False)
    runs: run_pb2_grpc.RunServiceStub = field(init=False)
    work: work_pb2_grpc.WorkServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.events = event_pb2_grpc.EventServiceStub(self.channel)
        self.functions = function_pb2_grpc.FunctionServiceStub(self.channel)
        self.runs = run_pb2_grpc.RunServiceStub(self.channel)
        self.work = work_pb2_grpc.WorkServiceStub(self.channel)

    async def register(self, *ids: str, event: str = "shop/order.created", retries: int = 4) -> None:
        """Register functions of the app, all triggered by one event."""
        for id_ in ids:
            definition = function_pb2.FunctionDefinition(app_id=APP, function_id=id_)
            definition.triggers.add().event.event = event
            definition.retry.retries = retries
            await self.functions.RegisterFunction(function_pb2.RegisterFunctionRequest(definition=definition))

    async def send(self, *names: str, data: bytes = b"{}") -> list[str]:
        """Send an event of each name."""
        events = [event_pb2.Event(name=name, data={"data": data}) for name in names]
        return list((await self.events.SendEvents(event_pb2.SendEventsRequest(events=events))).ids)

    def open_stream(self) -> Worker:
        """A worker's stream on which nothing was said yet."""
        return Worker(self.work.StreamWork())

    async def connect(self, *function_ids: str, slots: int = 10, instance_id: str = "w1") -> Worker:
        """A worker that was welcomed, with free slots."""
        worker = self.open_stream()
        await worker.send(hello={"app_id": APP, "function_ids": function_ids, "instance_id": instance_id})
        worker.welcome = await worker.expect("welcome")
        if slots:
            await worker.send(credit={"invocation_limit": slots})
        return worker

    async def served(self, function_id: str, sessions: int = 1) -> None:
        """Return once so many sessions serve a function: a poll that was just begun is waiting then."""
        request = function_pb2.GetFunctionRequest(app_id=APP, function_id=function_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.functions.GetFunction(request)).function.live_sessions != sessions:
                pass

    def stored(self) -> list[Any]:
        """All that the store tells, to compare."""
        with self.store.read() as reader:
            runs = reader.list_runs(RunFilter("default"), before_id="", limit=10_000)
            journals = reader.journals([view.run.id for view in runs])
            return [
                runs,
                {run_id: list(rows) for run_id, rows in journals.items()},
                reader.list_events("default", name="", id_="", before_key=0, limit=10_000, bytes_max=1 << 40),
                reader.list_functions("default", app_id="", after=("", ""), limit=10_000),
                reader.next_due(),
            ]


@dataclass
class Worker:
    """One stream, frame by frame."""

    call: Any
    welcome: Any = None

    async def send(self, **frame: Any) -> None:
        """Send one frame, by the name of what it carries."""
        await self.call.write(work.StreamWorkRequest(**frame))

    async def report(self, *reports: work.Report) -> None:
        """Send reports in one frame."""
        await self.send(reports={"reports": reports})

    async def expect(self, kind: str) -> Any:
        """What the next frame carries, which must be of that kind."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame = await self.call.read()
        assert frame is not grpc.aio.EOF, f"the stream ended: {await self.call.code()} {await self.call.details()}"
        assert frame.WhichOneof("frame") == kind, str(frame)[:1000]
        return getattr(frame, kind)

    async def expect_acks(self, count: int) -> list[work.Ack]:
        """The next acks, in one frame or in more."""
        acks: list[work.Ack] = []
        while len(acks) < count:
            acks += (await self.expect("acks")).acks
        assert len(acks) == count
        return acks

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ends, whatever comes before."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while await self.call.read() is not grpc.aio.EOF:
                    pass
            except grpc.aio.AioRpcError:
                pass
            return await self.call.code(), await self.call.details()


Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[Served]]


@asynccontextmanager
async def serving(settings: Settings | None = None, patience: Patience | None = None) -> AsyncIterator[Served]:
    """A server as `app.py` wires it, without loops: time submits nothing unless the test does."""
    settings = settings if settings is not None else Settings()
    loop, clock, hub = asyncio.get_running_loop(), HandClock(), RunHub()
    store = SqliteStore.open(":memory:")
    mailbox = Mailbox(loop, settings.limits)
    committer = Committer(
        store=store, mailbox=mailbox, settings=settings, clock=clock, rng=random.Random(1), loop=loop, hub=hub
    )
    with ThreadPoolExecutor(2) as readers:
        limits, questions = settings.limits, Questions(store, readers)
        work_service = WorkService(mailbox=mailbox, settings=settings, clock=clock, version="0.0.0", patience=patience)
        services = Services(
            events=EventService(mailbox=mailbox, limits=limits, clock=clock),
            functions=FunctionService(
                questions=questions,
                mailbox=mailbox,
                limits=limits,
                clock=clock,
                sessions_serving=committer.sessions_serving,
            ),
            runs=RunService(
                questions=questions,
                mailbox=mailbox,
                hub=hub,
                limits=limits,
                sessions_serving=committer.sessions_serving,
                is_paused=committer.is_paused,
            ),
            work=work_service,
        )
        server = RpcServer(services, limits=limits, tls=None, with_reflection=True)
        committer.start()
        address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
        async with grpc.aio.insecure_channel(address, options=_UNLIMITED) as channel:
            yield Served(store, mailbox, clock, services, work_service, server, address, channel)
        await server.stop(0)
        mailbox.close()
        await committer.stop()
    store.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server with the default settings."""
    async with serving() as one:
        yield one


@dataclass(frozen=True)
class Refusal:
    """What a refused call was told."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    violations: dict[str, str] = field(default_factory=dict)
    retry_seconds: float | None = None


async def refusal_of(call: Any) -> Refusal:
    """The refusal of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return read_refusal(caught.value)


def read_refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """What an error tells, with its details."""
    status = rpc_status.from_call(error)
    details: Iterable[Any] = status.details if status else ()
    reason, violations, retry_seconds = "", {}, None
    for detail in details:
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            violations = {violation.field: violation.description for violation in bad.field_violations}
        elif detail.Unpack(retry):
            retry_seconds = retry.retry_delay.ToMicroseconds() / 1e6
    return Refusal(error.code(), error.details() or "", reason, violations, retry_seconds)
