"""The worker that is recorded: one function for each thing that a worker can do, each of which runs once.

Bodies that have to last until something else has happened wait for a file, a *gate*, that the recording script makes.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import steplane

# A recording is read by many, and names no machine.
socket.gethostname = lambda: "recorded"

GATES = Path(os.environ["GATES"])
client = steplane.Steplane(app_id="recorded")
tries: Counter[str] = Counter()
#: Later than a worker parks its run, however slow it is: in a recording nothing races.
retry = steplane.Retry(attempts=3, first_delay=2000)


def on(name: str) -> steplane.TriggerEvent:
    """Started by the event that is named as the function."""
    return steplane.TriggerEvent(event=f"recorded/{name}")


async def gate(name: str) -> str:
    """Wait until a gate is opened."""
    while not (GATES / name).exists():  # noqa: ASYNC110 another process opens it
        await asyncio.sleep(0.01)
    return name


def value(it: Any) -> Any:
    """A body that only returns."""
    return it


def fail_once(name: str, error: Exception) -> str:
    """A body that fails in its first try."""
    tries[name] += 1
    if tries[name] == 1:
        raise error
    return "at last"


def fail(error: Exception) -> None:
    """A body that fails."""
    raise error


async def report_failure(ctx: steplane.Context) -> Any:
    """Runs once `fails` has failed for good."""
    return await ctx.step.run("note", value, ctx.event.data["error"]["name"])


@client.create_function(fn_id="steps", trigger=on("steps"), retry=retry)
async def steps(ctx: steplane.Context) -> Any:
    """Steps one after the other: that return, that fail, that send."""
    first = await ctx.step.run("a", value, {"n": [1, "é", None]})
    flaky = await ctx.step.run("flaky", fail_once, "flaky", ValueError("not yet"))
    try:
        await ctx.step.run("bad", fail, steplane.NonRetriableError("never"))
    except steplane.StepError as error:
        await ctx.step.run("a", value, error.message)
    own = steplane.Event(name="recorded/nobody", id="own-id", data={"to": "nobody"}, ts=981173106000)
    child = steplane.Event(name="recorded/child", data={"n": 7}, ts=981173106000)
    await ctx.step.send_event("send", [own, child])
    await ctx.step.sleep("nothing", 0)
    return [first, flaky]


@client.create_function(fn_id="child", trigger=on("child"))
async def child(ctx: steplane.Context) -> Any:
    """Started by an event of a step."""
    return ctx.event.data


@client.create_function(fn_id="fails", trigger=on("fails"), retry=retry, on_failure=report_failure)
async def fails(ctx: steplane.Context) -> Any:
    """Fails outside of steps: first in a way that may be tried again."""
    await ctx.step.run("a", value, 1)
    raise (steplane.NonRetriableError if ctx.attempt else ValueError)(f"try {ctx.attempt}")


@client.create_function(fn_id="later", trigger=on("later"))
async def later(ctx: steplane.Context) -> Any:
    """A step that says when it is tried again, and parks its run until then."""
    return await ctx.step.run("a", fail_once, "later", steplane.RetryAfterError("busy", timedelta(seconds=2)))


@client.create_function(fn_id="sleeper", trigger=on("sleeper"))
async def sleeper(ctx: steplane.Context) -> Any:
    """Parked by a sleep."""
    before = await ctx.step.run("before", value, "kept")
    await ctx.step.sleep("nap", timedelta(seconds=2))
    return await ctx.step.run("after", value, before)


@client.create_function(fn_id="branches", trigger=on("branches"))
async def branches(ctx: steplane.Context) -> Any:
    """Steps that become ready while the invocation is live."""
    answers = await asyncio.gather(
        ctx.step.run("long", gate, "branches"),
        ctx.step.sleep("nap", 2000),
        ctx.step.wait_for_event("wait", event="recorded/answer", match="data.n"),
        ctx.step.run("quick", value, 2),
    )
    return [answers[0], answers[2].data if answers[2] is not None else None, answers[3]]


@client.create_function(fn_id="waiter", trigger=on("waiter"))
async def waiter(ctx: steplane.Context) -> Any:
    """Parked by waits, that are met, that were met before, and that time out."""
    several = [steplane.WaitedEvent(event="recorded/one", if_exp="async.data.n > event.data.n"), "recorded/two"]
    both = await ctx.step.wait_for_event("both", event=several, all_of=True, timeout=timedelta(hours=1))
    past = await ctx.step.wait_for_event("past", event="recorded/o*", since="run")
    none = await ctx.step.wait_for_event("none", event="recorded/never", timeout=timedelta(seconds=2))
    return [len(both or []), past.id if past is not None else None, none]


@client.create_function(fn_id="caller", trigger=on("caller"), retries=0)
async def caller(ctx: steplane.Context) -> Any:
    """Invokes another function, and one that is not there."""
    answer = await ctx.step.invoke("call", function=callee, data={"n": 2}, timeout=timedelta(minutes=1))
    try:
        await ctx.step.invoke("call", function="other-app/missing")
    except steplane.StepError as error:
        return [answer, error.reason]


@client.create_function(fn_id="callee", trigger=on("callee"))
async def callee(ctx: steplane.Context) -> Any:
    """Invoked, and fast enough only when its caller is parked."""
    return await ctx.step.run("double", _double, ctx.event.data["n"])


async def _double(number: int) -> int:
    await gate("callee")
    return 2 * number


@client.create_function(fn_id="listener", trigger=on("listener"))
async def listener(ctx: steplane.Context) -> Any:
    """Parked until a signal comes, and until none does."""
    first = await ctx.step.wait_for_signal("first", signal="recorded-signal")
    return [
        first,
        await ctx.step.wait_for_signal("second", signal="recorded-signal", timeout=2000, on_conflict="replace"),
    ]


@client.create_function(fn_id="signaller", trigger=on("signaller"), retries=0)
async def signaller(ctx: steplane.Context) -> Any:
    """Sends a signal, and one that nobody waits for."""
    woken = await ctx.step.send_signal("signal", signal="recorded-signal", data={"ok": True})
    try:
        await ctx.step.send_signal("signal", signal="nobody-waits")
    except steplane.StepError as error:
        return [woken, error.reason]


@client.create_function(fn_id="racer", trigger=on("racer"))
async def racer(ctx: steplane.Context) -> Any:
    """Goes on with the first of two, and leaves the other one pending."""

    async def wait() -> Any:
        return await ctx.step.wait_for_event("wait", event="recorded/never", timeout=timedelta(days=1))

    async def nap() -> str:
        await ctx.step.sleep("nap", timedelta(seconds=2))
        return "nap"

    return await ctx.group.parallel([wait, nap], mode="race")


@client.create_function(fn_id="kept", trigger=on("kept"))
async def kept(ctx: steplane.Context) -> Any:
    """Held over a broken connection."""
    return await ctx.step.run("long", gate, "kept")


@client.create_function(fn_id="repeated", trigger=on("repeated"))
async def repeated(ctx: steplane.Context) -> Any:
    """Reports a step twice, since the first ack is lost with the connection."""
    return await ctx.step.run("once", value, 1)


@client.create_function(fn_id="cancelled", trigger=on("cancelled"))
async def cancelled(ctx: steplane.Context) -> Any:
    """Cancelled while its step is at work."""
    return await ctx.step.run("long", gate, "never")


@client.create_function(fn_id="released", trigger=on("released"))
async def released(ctx: steplane.Context) -> Any:
    """Handed back by a worker that stops, and ended by the next one."""
    before = await ctx.step.run("before", value, 1)
    return [before, await ctx.step.run("long", gate, "released")]


@client.create_function(
    fn_id="configured",
    name="Everything that can be said of a function",
    trigger=[
        steplane.TriggerEvent(event="recorded/c.*", expression="event.data.n > 1"),
        steplane.TriggerCron(cron="0 12 * * 5", tz="Europe/Berlin"),
    ],
    retry=steplane.Retry(attempts=4, first_delay=100, factor=3, max_delay=500, jitter=50),
    cancel=steplane.Cancel(event="recorded/stop", match="data.n", timeout=timedelta(hours=1)),
    concurrency=[
        steplane.Concurrency(limit=2, key="event.data.n"),
        steplane.Concurrency(limit=9, scope="app", key="'all'"),
    ],
    priority=steplane.Priority(run="event.data.n"),
    throttle=steplane.Throttle(limit=5, period=timedelta(seconds=1)),
    timeouts=steplane.Timeouts(start=timedelta(hours=1), finish=timedelta(hours=2)),
    idempotency="event.data.n",
)
async def configured(ctx: steplane.Context) -> None:
    """Registered, and never run."""


@client.create_function(
    fn_id="batched",
    trigger=on("batched"),
    batch_events=steplane.Batch(
        max_size=3, timeout=timedelta(seconds=1), key="event.data.n", if_exp="event.data.n > 1"
    ),
)
async def batched(ctx: steplane.Context) -> int:
    """Runs for several events at once."""
    return len(ctx.events)


@client.create_function(
    fn_id="debounced",
    trigger=on("debounced"),
    debounce=steplane.Debounce(period=timedelta(seconds=1), key="event.data.n", timeout=timedelta(seconds=5)),
    rate_limit=steplane.RateLimit(limit=5, period=timedelta(minutes=1), key="event.data.n"),
    singleton=steplane.Singleton(key="event.data.n", mode="cancel"),
)
async def debounced(ctx: steplane.Context) -> None:
    """Registered, and never run."""


if __name__ == "__main__":
    client.worker(slots=10, drain_timeout=timedelta(seconds=1)).run()
