"""Flow control as users write it, on a real server: each option does its work. Its bounds are tested in the core."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, run_pb2
from steplane import (
    Batch,
    Cancel,
    Concurrency,
    Context,
    Debounce,
    Event,
    Priority,
    RateLimit,
    RegistrationError,
    Retry,
    Singleton,
    Throttle,
    Timeouts,
)
from tests.sdk_py.house import House, on

LONG = timedelta(hours=1)


async def sleeps(ctx: Context) -> None:
    """A run that waits until something ends it."""
    await ctx.step.sleep("nap", LONG)


async def test_a_batch_is_one_run(house: House) -> None:
    """It has all events, in order; one that is not for the batch has a run of its own."""

    @house.client.create_function(
        fn_id="f", trigger=on("app/a"), batch_events=Batch(max_size=3, timeout=LONG, if_exp="!has(event.data.alone)")
    )
    async def function(ctx: Context) -> list[int]:
        assert ctx.event == ctx.events[0]
        return [event.data["n"] for event in ctx.events]

    async with house.worker():
        ids = await house.client.send([Event(name="app/a", data={"n": n}) for n in range(2)])
        alone = await house.run_of(await house.send("app/a", n=9, alone=True))
        await house.send("app/a", n=2)
        assert alone.output.data == b"[9]"
        assert (await house.run_of(ids[0])).output.data == b"[0,1,2]"


async def test_an_event_cancels_a_run_that_waits(house: House) -> None:
    """The run of the same user, and not the other's."""
    cancel = Cancel(event="app/stop", match="data.user")
    house.client.create_function(fn_id="f", trigger=on("app/a"), cancel=cancel)(sleeps)
    async with house.worker():
        first, second = [await house.send("app/a", user=n) for n in (1, 2)]
        await house.parked(first)
        await house.parked(second)
        await house.send("app/stop", user=2)
        assert (await house.run_of(second)).state == run_pb2.RUN_STATE_CANCELLED
        assert (await house.parked(first)).state == run_pb2.RUN_STATE_WAITING


@pytest.mark.parametrize("concurrency", [2, Concurrency(limit=2, key="event.data.user", hold="run")])
async def test_no_more_run_at_once_than_may(house: House, concurrency: Any) -> None:
    """Ten runs, two at a time: each waits until another one is beside it, and never sees a third."""
    beside, most = 0, 0
    pair = asyncio.Barrier(2)

    @house.client.create_function(fn_id="f", trigger=on("app/a"), concurrency=concurrency)
    async def function(ctx: Context) -> None:
        async def work() -> None:
            nonlocal beside, most
            beside += 1
            most = max(most, beside)
            await pair.wait()
            beside -= 1

        await ctx.step.run("work", work)

    async with house.worker():
        for event_id in await house.client.send([Event(name="app/a", data={"user": 1}) for _ in range(10)]):
            assert (await house.run_of(event_id)).state == run_pb2.RUN_STATE_COMPLETED
    assert most == 2


async def test_only_the_newest_of_many_events_counts_once_it_is_quiet(house: House) -> None:
    """One run, with the last event."""

    @house.client.create_function(
        fn_id="f", trigger=on("app/a"), debounce=Debounce(period=timedelta(seconds=1), key="event.data.user")
    )
    async def function(ctx: Context) -> int:
        return int(ctx.event.data["n"])

    async with house.worker():
        ids = [await house.send("app/a", user=1, n=n) for n in range(3)]
        assert (await house.run_of(ids[-1])).output.data == b"2"


async def test_one_run_at_a_time(house: House) -> None:
    """A second one of the same key is skipped, or takes the place of the first."""
    house.client.create_function(fn_id="skips", trigger=on("app/a"), singleton=Singleton(key="event.data.user"))(sleeps)
    house.client.create_function(fn_id="cancels", trigger=on("app/b"), singleton=Singleton(mode="cancel"))(sleeps)
    async with house.worker():
        await house.parked(await house.send("app/a", user=1))
        assert (await house.run_of(await house.send("app/a", user=1))).state == run_pb2.RUN_STATE_SKIPPED
        await house.parked(await house.send("app/a", user=2))
        first = await house.send("app/b")
        await house.parked(first)
        second = await house.send("app/b")
        assert (await house.run_of(first)).state == run_pb2.RUN_STATE_CANCELLED
        await house.parked(second)


async def test_one_run_a_key_and_day(house: House) -> None:
    """The second event with the same key starts nothing that does anything."""

    @house.client.create_function(fn_id="f", trigger=on("app/a"), idempotency="event.data.id")
    async def function(ctx: Context) -> int:
        return 1

    async with house.worker():
        assert (await house.run_of(await house.send("app/a", id=1))).output.data == b"1"
        assert (await house.run_of(await house.send("app/a", id=1))).state == run_pb2.RUN_STATE_SKIPPED
        assert (await house.run_of(await house.send("app/a", id=2))).output.data == b"1"


async def test_a_run_that_takes_too_long_is_cancelled(house: House) -> None:
    """At the moment itself, while it sleeps."""
    house.client.create_function(fn_id="f", trigger=on("app/a"), timeouts=Timeouts(finish=timedelta(seconds=1)))(sleeps)
    async with house.worker():
        assert (await house.run_of(await house.send("app/a"))).state == run_pb2.RUN_STATE_CANCELLED


async def test_the_server_understands_all_options(house: House) -> None:
    """What it tells of a function is what was written."""
    flow = house.client.create_function(
        fn_id="flow",
        name="Flow",
        trigger=on("app/a"),
        retry=Retry(attempts=3, first_delay=1000, jitter=500),
        cancel=[Cancel(event="stop", match="data.user", timeout=LONG), Cancel(event="halt", if_exp="async.data.now")],
        concurrency=[
            Concurrency(limit=3, key="event.data.user", scope="app"),
            Concurrency(limit=5, scope="namespace", hold="run"),
        ],
        priority=Priority(run="event.data.vip ? 60 : 0"),
        rate_limit=RateLimit(limit=10, period=LONG, key="event.data.user"),
        throttle=Throttle(limit=10, period=LONG, burst=2, key="event.data.user"),
        timeouts=Timeouts(start=LONG, finish=2 * LONG),
        idempotency="event.data.id",
    )(sleeps)
    batch = house.client.create_function(
        fn_id="batch",
        name="Batch",
        trigger=on("app/a"),
        retries=0,
        batch_events=Batch(max_size=9, timeout=LONG, key="event.data.user", if_exp="event.data.many"),
    )(sleeps)
    async with house.worker(), grpc.aio.insecure_channel(house.address) as channel:
        functions = function_pb2_grpc.FunctionServiceStub(channel)
        for function in (flow, batch):
            request = function_pb2.GetFunctionRequest(function_id=function.id)
            known = (await functions.GetFunction(request)).function.definition
            if function is batch:
                known.retry.ClearField("delays")
                known.retry.ClearField("jitter")
            assert known.SerializeToString(deterministic=True) == function.definition.SerializeToString(
                deterministic=True
            )


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"concurrency": 0}, "concurrency[0].limit"),
        ({"concurrency": Concurrency(limit=1, key="event.data.")}, "concurrency[0].key"),
        ({"cancel": [Cancel(event="a")] * 6}, "cancel"),
        ({"cancel": Cancel(event="a", match="data.x", if_exp="true")}, "cancel[0]"),
        ({"debounce": Debounce(period=999)}, "debounce.period"),
        ({"rate_limit": RateLimit(limit=1, period=timedelta(hours=25))}, "rate_limit.period"),
        ({"throttle": Throttle(limit=1, period=1000, burst=2)}, "throttle.burst"),
        ({"timeouts": Timeouts(start=999)}, "timeouts.start"),
        ({"priority": Priority(run="event.data.")}, "priority.run"),
        ({"idempotency": "event.data."}, "idempotency.key"),
        ({"batch_events": Batch(max_size=1, timeout=1000)}, "batch.max_size"),
        ({"batch_events": Batch(max_size=2, timeout=1000), "debounce": Debounce(period=1000)}, "batch"),
        ({"batch_events": Batch(max_size=2, timeout=1000), "singleton": Singleton()}, "batch"),
    ],
)
async def test_what_can_t_work_is_refused_when_it_is_registered(
    house: House, options: dict[str, Any], field: str
) -> None:
    """The error names the function and the field."""
    house.client.create_function(fn_id="bad", trigger=on("a"), **options)(sleeps)
    with pytest.raises(RegistrationError, match="refuses function 'bad'") as raised:
        await house.client.worker().run_async()
    assert any(field in violation.field for violation in raised.value.violations), raised.value
