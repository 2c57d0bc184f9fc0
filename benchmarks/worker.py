"""The worker that is measured: `worker.py ADDRESS SLOTS`."""

import sys
from datetime import timedelta
from typing import Any

import steplane

client = steplane.Steplane(app_id="bench", address=sys.argv[1])


async def two_steps(ctx: steplane.Context) -> dict[str, Any]:
    """The least that is durable: two steps, each acknowledged before the next."""
    number = ctx.event.data["i"]

    async def first() -> dict[str, int]:
        return {"a": number}

    async def second() -> dict[str, int]:
        return {"b": number + 1}

    return {**await ctx.step.run("first", first), **await ctx.step.run("second", second)}


client.create_function(fn_id="two-steps", trigger=steplane.TriggerEvent(event="bench/two"))(two_steps)
client.create_function(
    fn_id="keyed",
    trigger=steplane.TriggerEvent(event="bench/keyed"),
    concurrency=steplane.Concurrency(limit=1, key="event.data.key"),
)(two_steps)
client.create_function(
    fn_id="throttled",
    trigger=steplane.TriggerEvent(event="bench/throttled"),
    throttle=steplane.Throttle(limit=1, period=timedelta(hours=1)),
)(two_steps)
for number in range(9):
    trigger = steplane.TriggerEvent(event="bench/nine", expression=f"event.data.key == {number}")
    client.create_function(fn_id=f"one-of-nine-{number}", trigger=trigger)(two_steps)


@client.create_function(fn_id="waiter", trigger=steplane.TriggerEvent(event="bench/wait"))
async def waiter(ctx: steplane.Context) -> None:
    """Waits for the answer with its own key."""
    await ctx.step.wait_for_event("answer", event="bench/answer", match="data.key", timeout=timedelta(days=1))


@client.create_function(fn_id="sleeper", trigger=steplane.TriggerEvent(event="bench/sleep"))
async def sleeper(ctx: steplane.Context) -> None:
    """Parks for a day."""
    await ctx.step.sleep("nap", timedelta(days=1))


@client.create_function(fn_id="many-steps", trigger=steplane.TriggerEvent(event="bench/many"))
async def many_steps(ctx: steplane.Context) -> int:
    """As many steps, one after the other, as its event says."""

    async def step() -> int:
        return 1

    count: int = ctx.event.data["i"]
    for _ in range(count):
        await ctx.step.run("step", step)
    return count


if __name__ == "__main__":
    client.worker(slots=int(sys.argv[2])).run()
