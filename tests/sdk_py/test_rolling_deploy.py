"""Workers of two versions of an app, one after the other and side by side."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from controlplane.gen.steplane.v1 import run_pb2
from steplane import Context, RateLimit, Steplane
from tests.sdk_py.house import House, on


async def test_a_run_goes_on_with_new_code(house: House) -> None:
    """What is recorded is kept by its key: a step that is new runs, one that is gone is ignored, none runs twice."""
    executed: list[str] = []

    def note(text: str) -> str:
        executed.append(text)
        return text

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def old(ctx: Context) -> str:
        await ctx.step.run("gone", note, "gone")
        first = await ctx.step.run("kept", note, "old")
        await ctx.step.wait_for_event("wait", event="app/deployed")
        return first

    async with house.worker():
        event_id = await house.send("app/a")
        await house.parked(event_id)
    deployed = Steplane(app_id="shop", address=house.address)

    @deployed.create_function(fn_id="f", trigger=on("app/a"))
    async def new(ctx: Context) -> list[str]:
        added = await ctx.step.run("added", note, "added")
        first = await ctx.step.run("kept", note, "new")
        await ctx.step.wait_for_event("wait", event="app/deployed")
        return [added, first]

    worker = deployed.worker()
    task = asyncio.create_task(worker.run_async())
    await house.send("app/deployed")
    run = await house.run_of(event_id)
    worker.stop()
    await task
    deployed.close()

    assert run.output.data == b'["added","old"]'
    assert executed == ["gone", "old", "added"]


async def test_a_changed_kind_is_a_clear_error(house: House) -> None:
    """It names the step, and shows both."""

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def old(ctx: Context) -> None:
        await ctx.step.wait_for_event("step", event="app/deployed")

    async with house.worker():
        event_id = await house.send("app/a")
        await house.parked(event_id)
    deployed = Steplane(app_id="shop", address=house.address)

    @deployed.create_function(fn_id="f", trigger=on("app/a"))
    async def new(ctx: Context) -> None:
        await ctx.step.sleep("step", 20)

    worker = deployed.worker()
    task = asyncio.create_task(worker.run_async())
    await house.send("app/deployed")
    run = await house.run_of(event_id)
    worker.stop()
    await task
    deployed.close()

    assert run.state == run_pb2.RUN_STATE_FAILED
    assert "step.sleep('step'" in run.failure.message
    assert "step.wait_for_event('step'" in run.failure.message


async def test_a_changed_configuration_applies_to_new_runs(house: House) -> None:
    """Those that began under the old one go on as they were."""

    async def wait(ctx: Context) -> str:
        await ctx.step.wait_for_event("wait", event="app/deployed")
        return "over"

    house.client.create_function(fn_id="f", trigger=on("app/a"))(wait)
    async with house.worker():
        before = await house.send("app/a")
        await house.parked(before)
    limited = Steplane(app_id="shop", address=house.address)
    limit = RateLimit(limit=1, period=timedelta(hours=1))
    limited.create_function(fn_id="f", trigger=on("app/a"), rate_limit=limit)(wait)
    worker = limited.worker()
    task = asyncio.create_task(worker.run_async())
    await worker.connected()
    after = [await house.send("app/a") for _ in range(2)]
    await house.parked(after[0])
    await house.send("app/deployed")
    runs = [await house.run_of(each) for each in (before, *after)]
    worker.stop()
    await task
    limited.close()

    ended, skipped = run_pb2.RUN_STATE_COMPLETED, run_pb2.RUN_STATE_SKIPPED
    assert [run.state for run in runs] == [ended, ended, skipped]
