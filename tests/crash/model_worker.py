"""A worker whose functions wait, invoke, hold slots and are batched, debounced, cancelled: `model_worker.py ADDRESS NOTES`."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta
from typing import Any

import steplane

FUNCTIONS = 6
SLOTS = 20
AT_ONCE = 2

client = steplane.Steplane(app_id="model", address=sys.argv[1])
quick: Any = {"retry": steplane.Retry(attempts=21, first_delay=timedelta(milliseconds=10), factor=1)}
DAY = timedelta(days=1)


async def work() -> int:
    """Takes long enough that whatever happens to the worker happens to it here."""
    await asyncio.sleep(0.005)
    return 1


@client.create_function(
    fn_id="double",
    trigger=steplane.TriggerEvent(event="model/double"),
    concurrency=steplane.Concurrency(limit=AT_ONCE, hold="run"),
    **quick,
)
async def double(ctx: steplane.Context) -> int:
    """Only so many at once, from start to end."""
    await ctx.step.run("before", work)
    await ctx.step.sleep("nap", timedelta(milliseconds=10))
    return int(ctx.event.data["n"]) * 2


@client.create_function(fn_id="ask", trigger=steplane.TriggerEvent(event="model/ask"), **quick)
async def ask(ctx: steplane.Context) -> int:
    """Waits for its answer, and then for another function."""
    await ctx.step.run("before", work)
    answer = await ctx.step.wait_for_event("answer", event="model/answer", match="data.n", since="run", timeout=DAY)
    assert answer is not None
    result: int = await ctx.step.invoke("double", function=double, data=answer.data, timeout=DAY)
    return result


@client.create_function(
    fn_id="narrow",
    trigger=steplane.TriggerEvent(event="model/ask"),
    concurrency=steplane.Concurrency(limit=1, key="event.data.n % 2"),
    **quick,
)
async def narrow(ctx: steplane.Context) -> int:
    """One at a time for each key."""
    return await ctx.step.run("alone", work)


@client.create_function(
    fn_id="collect",
    trigger=steplane.TriggerEvent(event="model/ask"),
    batch_events=steplane.Batch(max_size=7, timeout=timedelta(seconds=1)),
    **quick,
)
async def collect(ctx: steplane.Context) -> int:
    """Many events at once."""
    await ctx.step.run("store", work)
    return len(ctx.events)


@client.create_function(
    fn_id="newest",
    trigger=steplane.TriggerEvent(event="model/ask"),
    debounce=steplane.Debounce(period=timedelta(seconds=1)),
    **quick,
)
async def newest(ctx: steplane.Context) -> int:
    """The last of many."""
    return int(ctx.event.data["n"])


@client.create_function(
    fn_id="stopped",
    trigger=steplane.TriggerEvent(event="model/ask"),
    cancel=steplane.Cancel(event="model/answer", match="data.n"),
    **quick,
)
async def stopped(ctx: steplane.Context) -> None:
    """Waits until it is cancelled."""
    await ctx.step.sleep("long", DAY)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    client.worker(slots=SLOTS).run()
