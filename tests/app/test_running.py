"""A server inside this process, with a clock of the test's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from controlplane.app import App, running
from controlplane.config import Address, Config
from controlplane.core.limits import HOUR, SECOND
from controlplane.errors import SteplaneError
from controlplane.gen.steplane.v1 import (
    event_pb2,
    event_pb2_grpc,
    function_pb2,
    function_pb2_grpc,
    payload_pb2,
    run_pb2,
    run_pb2_grpc,
)
from tests.loops.conftest import FakeClock


def _config(folder: Path, **settings: object) -> Config:
    return Config(db=folder / "steplane.db", listen=Address("127.0.0.1", 0), **settings)  # type: ignore[arg-type]


async def _send(channel: grpc.aio.Channel, *, delay: int, clock: FakeClock) -> None:
    event = event_pb2.Event(id="e1", name="app/thing.done", data=payload_pb2.Payload(data=b"{}"))
    event.ts.FromMicroseconds(clock.moment + delay)
    await event_pb2_grpc.EventServiceStub(channel).SendEvents(event_pb2.SendEventsRequest(events=[event]))


async def _register(channel: grpc.aio.Channel) -> None:
    trigger = function_pb2.Trigger(event=function_pb2.EventTrigger(event="app/thing.done"))
    definition = function_pb2.FunctionDefinition(app_id="app", function_id="f", triggers=[trigger])
    stub = function_pb2_grpc.FunctionServiceStub(channel)
    await stub.RegisterFunction(function_pb2.RegisterFunctionRequest(definition=definition))


async def _run_count(channel: grpc.aio.Channel) -> int:
    return len((await run_pb2_grpc.RunServiceStub(channel).ListRuns(run_pb2.ListRunsRequest())).runs)


async def _event_count(channel: grpc.aio.Channel) -> int:
    return len((await run_pb2_grpc.RunServiceStub(channel).ListEvents(run_pb2.ListEventsRequest())).events)


async def _naps(clock: FakeClock, count: int) -> None:
    """Wait until that many loops wait for the clock."""
    for _ in range(count):
        await clock.waits.get()


async def test_time_moves_it_and_nothing_else_does(tmp_path: Path, clock: FakeClock) -> None:
    """A delayed event starts its run when the injected clock says so: the loops, the engine and the hints are connected."""
    async with running(_config(tmp_path), clock=clock) as app, _channel(app) as channel:
        await _naps(clock, 3)
        await _register(channel)
        await _send(channel, delay=5 * SECOND, clock=clock)
        await _naps(clock, 1)
        assert await _run_count(channel) == 0

        clock.jump(5 * SECOND)
        await _naps(clock, 3)

        assert await _run_count(channel) == 1


@pytest.mark.parametrize(("retention", "left"), [(2 * HOUR, 0), (0, 1)])
async def test_retention_is_kept_to_or_off(tmp_path: Path, clock: FakeClock, retention: int, left: int) -> None:
    """What is older goes; with retention off nothing goes, ever."""
    config = _config(tmp_path, retention=retention, dedupe_window=1 * HOUR)
    loops = 3 if retention else 2
    async with running(config, clock=clock) as app, _channel(app) as channel:
        await _naps(clock, loops)
        await _send(channel, delay=0, clock=clock)

        clock.jump(3 * HOUR)
        await _naps(clock, loops)

        assert await _event_count(channel) == left


async def test_a_server_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    """The file is free again, and the next server can have it."""
    (tmp_path / "first").mkdir()
    async with running(_config(tmp_path / "first")) as first:
        taken = Config(db=tmp_path / "steplane.db", listen=first.address)

        with pytest.raises(SteplaneError, match=str(first.address.port)):
            await App(taken).start()

    async with running(_config(tmp_path)) as app:
        assert app.address.port > 0
        assert {task.get_name() for task in asyncio.all_tasks()} >= {"Timers", "Sessions", "Retention"}
    assert not {task.get_name() for task in asyncio.all_tasks()} & {"Timers", "Sessions", "Retention"}


def _channel(app: App) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(str(app.address))
