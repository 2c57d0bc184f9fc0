"""The public API as a type checker sees it: this file is never run, `make check` reads it."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import steplane

client = steplane.Steplane(app_id="typed", tls=steplane.Tls(ca="ca.pem"))


async def load(user_id: str, *, depth: int = 1) -> dict[str, int]:
    """An async handler."""
    return {user_id: depth}


def count(numbers: list[int], start: int) -> int:
    """A plain one."""
    return sum(numbers, start)


@client.create_function(
    fn_id="asynchronous",
    trigger=[
        steplane.TriggerEvent(event="typed/happened", expression="event.data.ok"),
        steplane.TriggerCron(cron="0 * * * *"),
    ],
    retry=steplane.Retry(attempts=3, first_delay=timedelta(seconds=1), max_delay=10_000),
)
async def asynchronous(ctx: steplane.Context) -> int:
    """Steps of an async function have their handlers' types."""
    assert_type(await ctx.step.run("load", load, "u1"), dict[str, int])
    assert_type(await ctx.step.run("count", count, [1, 2], 3), int)
    assert_type(await ctx.step.run("inline", lambda: "text"), str)
    assert_type(await ctx.step.send_event("send", steplane.Event(name="typed/sent")), list[str])
    assert_type(await ctx.step.sleep("nap", timedelta(minutes=1)), None)
    assert_type(await ctx.group.parallel([lambda: ctx.step.run("a", count, [1], 0)]), tuple[int, ...])
    assert_type(ctx.event, steplane.Event)
    assert_type(ctx.events, list[steplane.Event])
    assert_type(ctx.attempt, int)
    await ctx.step.run("wrong", count, ["x"], 3)  # type: ignore[arg-type, call-arg]  # a handler's arguments are checked
    return ctx.attempt


@client.create_function(fn_id="plain", trigger=steplane.TriggerEvent(event="typed/happened"))
def plain(ctx: steplane.ContextSync) -> int:
    """The same in a plain function, without `await`."""
    assert_type(ctx.step.run("count", count, [1, 2], 3), int)
    assert_type(ctx.step.send_event("send", [steplane.Event(name="typed/sent")]), list[str])
    assert_type(ctx.group.parallel([lambda: ctx.step.run("a", count, [1], 0)]), tuple[int, ...])
    try:
        ctx.step.sleep("nap", 500)
    except steplane.StepError as error:
        assert_type(error.step_id, str)
    return ctx.attempt


async def outside() -> None:
    """What code outside of functions uses."""
    assert_type(await client.send(steplane.Event(name="typed/sent", data={"a": 1})), list[str])
    assert_type(client.send_sync([steplane.Event(name="typed/sent")]), list[str])
    assert_type(client.worker(slots=3, functions=[asynchronous, plain]), steplane.Worker)
    assert_type(plain.id, str)
    assert_type(steplane.current_traceparent(), str)
