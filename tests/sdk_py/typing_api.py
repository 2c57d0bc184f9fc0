"""How the public API is used, for mypy: this file is checked, and not run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_type

import steplane

client = steplane.Steplane(app_id="app", address="127.0.0.1:7100", tls=steplane.Tls(ca="ca.pem"))


async def load(user: int, name: str) -> dict[str, int]:
    """An async handler."""
    return {name: user}


def count(user: int) -> int:
    """A plain handler."""
    return user


@client.create_function(
    fn_id="a", trigger=steplane.TriggerEvent(event="app/a"), retry_delays=[100, timedelta(seconds=1)]
)
async def on_loop(ctx: steplane.Context) -> list[int]:
    """An async function."""
    assert_type(await ctx.step.run("load", load, 1, "x"), dict[str, int])
    assert_type(await ctx.step.run("count", count, 1), int)
    assert_type(await ctx.step.run("lambda", lambda: "text"), str)
    await ctx.step.sleep("nap", timedelta(seconds=1))
    await ctx.step.sleep("nap", 1000)
    await ctx.step.sleep_until("then", datetime(2030, 1, 1, tzinfo=UTC))
    assert_type(await ctx.step.send_event("send", steplane.Event(name="a", data={"x": 1})), list[str])
    first, second = await asyncio.gather(ctx.step.run("a", count, 1), ctx.step.run("b", load, 1, "x"))
    assert_type(first, int)
    assert_type(second, dict[str, int])
    assert_type(
        await ctx.group.parallel((lambda: ctx.step.run("c", count, 1), lambda: ctx.step.run("d", count, 2))),
        tuple[int, ...],
    )
    assert_type(ctx.event, steplane.Event)
    assert_type(ctx.event.ts, int)
    assert_type(ctx.attempt, int)
    ctx.logger.info("text %s", ctx.run_id)
    return [first]


@client.create_function(
    fn_id="b",
    trigger=[steplane.TriggerEvent(event="app/b"), steplane.TriggerCron(cron="0 12 * * 5", tz="UTC")],
    retries=0,
)
def in_thread(ctx: steplane.ContextSync) -> None:
    """A plain function."""
    assert_type(ctx.step.run("count", count, 1), int)
    ctx.step.sleep("nap", timedelta(seconds=1))
    assert_type(ctx.step.send_event("send", [steplane.Event(name="a", ts=datetime(2030, 1, 1, tzinfo=UTC))]), list[str])
    assert_type(ctx.group.parallel([lambda: ctx.step.run("a", count, 1)]), tuple[int, ...])
    try:
        ctx.step.run("pay", count, 1)
    except steplane.StepError as error:
        assert_type((error.name, error.message, error.stack, error.step_id), tuple[str, str, str, str])
    raise steplane.RetryAfterError("later", timedelta(minutes=1))


async def main(events: Sequence[steplane.Event]) -> None:
    """Outside of functions."""
    assert_type(await client.send(events), list[str])
    assert_type(await client.send(steplane.Event(name="a"), timeout=timedelta(seconds=1)), list[str])
    assert_type(client.send_sync([]), list[str])
    worker = client.worker(slots=10, functions=[on_loop, in_thread])
    await worker.run_async()
    worker.run()
    try:
        client.send_sync(events)
    except steplane.SendError as error:
        assert_type(error.violations, tuple[steplane.FieldViolation, ...])


def misuse(ctx: steplane.Context, sync: steplane.ContextSync) -> None:
    """What a checker refuses: an ignore that is not needed any more is an error."""
    ctx.step.run("count", count, "text")  # type: ignore[arg-type, unused-coroutine]  # a handler's arguments are checked
    sync.step.run("count", count)  # type: ignore[arg-type]  # so is their number
    sync.step.sleep("nap", 1.5)  # type: ignore[arg-type]  # a fraction of a millisecond is nothing
    steplane.Event("a")  # type: ignore[call-arg]  # words, not positions
