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
    fn_id="a",
    trigger=steplane.TriggerEvent(event="app/a"),
    retry=steplane.Retry(attempts=3, first_delay=100, max_delay=timedelta(seconds=1)),
    concurrency=[steplane.Concurrency(limit=3, key="event.data.user", scope="app", hold="run")],
    cancel=steplane.Cancel(event="app/stop", match="data.user", timeout=timedelta(hours=1)),
    rate_limit=steplane.RateLimit(limit=3, period=1000),
    throttle=steplane.Throttle(limit=3, period=1000, burst=2),
    timeouts=steplane.Timeouts(start=1000),
    idempotency="event.data.user",
    on_failure=lambda ctx: None,
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
    assert_type(
        await ctx.step.run("own", load, 1, "x", retry=steplane.Retry(attempts=2, first_delay=1)), dict[str, int]
    )
    first_of = [steplane.WaitedEvent(event="app/a", match="data.user"), steplane.WaitedEvent(event="app/b")]
    assert_type(await ctx.step.wait_for_event("any", event=first_of, since="run"), steplane.Event | None)
    assert_type(
        await ctx.step.wait_for_event("all", event=[steplane.WaitedEvent(event="app/a"), "app/b"], all_of=True),
        list[steplane.Event] | None,
    )
    since = datetime(2030, 1, 1, tzinfo=UTC)
    await ctx.step.wait_for_event("one", event="app/a", match="data.user", timeout=1000, since=since)
    await ctx.step.invoke("other", function=in_thread, data={"x": 1}, timeout=timedelta(hours=1))
    await ctx.step.invoke("other", function="app/b")
    await ctx.step.wait_for_signal("signal", signal="approve/1", on_conflict="replace")
    assert_type(await ctx.step.send_signal("tell", signal="approve/1", data=[1]), str)
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
    concurrency=5,
    priority=steplane.Priority(run="event.data.vip ? 60 : 0"),
    singleton=steplane.Singleton(key="event.data.user", mode="cancel"),
    debounce=steplane.Debounce(period=1000, timeout=timedelta(minutes=1)),
)
def in_thread(ctx: steplane.ContextSync) -> None:
    """A plain function."""
    assert_type(ctx.step.run("count", count, 1), int)
    ctx.step.sleep("nap", timedelta(seconds=1))
    assert_type(ctx.step.run("count", count, 1, retry=steplane.Retry(attempts=1, first_delay=0)), int)
    assert_type(ctx.step.wait_for_event("one", event="app/a", if_exp="true"), steplane.Event | None)
    assert_type(ctx.step.wait_for_event("all", event=["app/a"], all_of=True), list[steplane.Event] | None)
    ctx.step.invoke("other", function=on_loop)
    ctx.step.wait_for_signal("signal", signal="approve/1", timeout=1000)
    assert_type(ctx.step.send_signal("tell", signal="approve/1"), str)
    assert_type(ctx.step.send_event("send", [steplane.Event(name="a", ts=datetime(2030, 1, 1, tzinfo=UTC))]), list[str])
    assert_type(ctx.group.parallel([lambda: ctx.step.run("a", count, 1)]), tuple[int, ...])
    try:
        ctx.step.run("pay", count, 1)
    except steplane.StepError as error:
        assert_type((error.name, error.message, error.stack, error.step_id), tuple[str, str, str, str])
        assert_type(error.reason, str)
    raise steplane.RetryAfterError("later", timedelta(minutes=1))


async def main(events: Sequence[steplane.Event]) -> None:
    """Outside of functions."""
    assert_type(await client.send(events), list[str])
    assert_type(await client.send(steplane.Event(name="a"), timeout=timedelta(seconds=1)), list[str])
    assert_type(client.send_sync([]), list[str])
    assert_type(await client.send_signal("approve/1", {"by": "me"}), str)
    assert_type(client.send_signal_sync("approve/1", timeout=timedelta(seconds=1)), str)
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
    sync.step.invoke("other", function=load)  # type: ignore[arg-type]  # a plain function is none of the server's
    sync.step.wait_for_event("one", event="a", since="yesterday")  # type: ignore[call-overload]  # a moment, or "run"
    steplane.Concurrency(limit=1, scope="everywhere")  # type: ignore[arg-type]  # there are three
    steplane.Event("a")  # type: ignore[call-arg]  # words, not positions
