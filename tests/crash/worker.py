"""The worker that crash tests kill: `worker.py ADDRESS NOTES`. It notes when the code of a step begins, and when it is done.

A note is one `write` to a file opened for appending: it is there although the process is killed right after it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from datetime import timedelta
from typing import Any

import steplane

CHILDREN = 3
SLOTS = 20

client = steplane.Steplane(app_id="crash", address=sys.argv[1])
notes = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
quick: Any = {"retry": steplane.Retry(attempts=21, first_delay=timedelta(milliseconds=10), factor=1)}


def note(what: str, ctx: steplane.Context | steplane.ContextSync, step: str) -> None:
    """Note it."""
    os.write(notes, f"{what} {ctx.run_id} {step} {os.getpid()} {time.time_ns() // 1000}\n".encode())


async def step(ctx: steplane.Context, name: str, value: Any, *, failures: int = 0) -> Any:
    """A step that is noted, and that fails as often as it is told in this process."""

    async def body() -> Any:
        note("begin", ctx, name)
        key = (ctx.run_id, name)
        failed[key] = failed.get(key, 0) + 1
        if failed[key] <= failures:
            raise ValueError("not yet")
        # Long enough that whatever happens to the worker happens to it in the middle of some steps.
        await asyncio.sleep(0.005)
        return value

    result = await ctx.step.run(name, body)
    note("done", ctx, name)
    return result


failed: dict[tuple[str, str], int] = {}


@client.create_function(fn_id="parent", trigger=steplane.TriggerEvent(event="crash/parent"), **quick)
async def parent(ctx: steplane.Context) -> int:
    """Two steps, between them a fan-out and a short sleep."""
    number = await step(ctx, "fetch", ctx.event.data["number"])
    await ctx.step.send_event(
        "fan-out", [steplane.Event(name="crash/child", data={"number": number, "child": i}) for i in range(CHILDREN)]
    )
    await ctx.step.sleep("nap", timedelta(milliseconds=30))
    return int(await step(ctx, "last", number))


@client.create_function(fn_id="child", trigger=steplane.TriggerEvent(event="crash/child"), **quick)
async def child(ctx: steplane.Context) -> int:
    """Two steps, the second of which fails at first for some."""
    await step(ctx, "one", 1)
    return int(await step(ctx, "two", 2, failures=int(ctx.event.data["child"] == 0)))


@client.create_function(
    fn_id="audit", trigger=steplane.TriggerEvent(event="crash/*", expression="event.name == 'crash/parent'"), **quick
)
def audit(ctx: steplane.ContextSync) -> tuple[str, ...]:
    """A second function for the same event: plain, with two steps side by side in threads."""

    def body(name: str) -> str:
        note("begin", ctx, name)
        time.sleep(0.005)
        return name

    def run(name: str) -> str:
        result = ctx.step.run(name, body, name)
        note("done", ctx, name)
        return result

    return ctx.group.parallel([lambda name=name: run(name) for name in ("left", "right")])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    client.worker(slots=SLOTS).run()
