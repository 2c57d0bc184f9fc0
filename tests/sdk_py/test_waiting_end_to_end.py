"""Functions that wait for events and signals, and invoke each other, on a real server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.gen.steplane.v1 import run_pb2
from steplane import (
    Context,
    ContextSync,
    Event,
    NonRetriableError,
    RateLimit,
    SendError,
    StepError,
    Steplane,
    WaitedEvent,
)
from tests.sdk_py.house import FAST, House, on

LONG = timedelta(hours=1)


def output(run: run_pb2.Run) -> Any:
    """What a run returned."""
    assert run.state == run_pb2.RUN_STATE_COMPLETED, run
    return json.loads(run.output.data)


@pytest.mark.parametrize(
    "how", [{"match": "data.user.id"}, {"if_exp": "event.data.user.id == async.data.user.id && async.data.sum > 1"}]
)
async def test_a_run_waits_for_the_event_that_is_its_own(house: House, how: dict[str, str]) -> None:
    """Of two runs that wait for the same name, each gets the event of its user; an event of neither wakes none."""

    @house.client.create_function(fn_id="order", trigger=on("app/order"))
    async def order(ctx: Context) -> Any:
        paid = await ctx.step.wait_for_event("paid", event="app/pa*", timeout=LONG, **how)
        return None if paid is None else [paid.id, paid.name, paid.data["sum"], paid.ts]

    async with house.worker(slots=1):
        orders = [await house.send("app/order", user={"id": n}) for n in (1, 2)]
        for order_id in orders:
            await house.parked(order_id)
        await house.send("app/paid", user={"id": 3}, sum=30)
        second, first = await house.client.send(
            [Event(name="app/paid", data={"user": {"id": n}, "sum": 10 * n}, ts=n * 1000) for n in (2, 1)]
        )
        found = [output(await house.run_of(order_id)) for order_id in orders]
    assert found == [[first, "app/paid", 10, 1000], [second, "app/paid", 20, 2000]]


async def test_a_wait_ends_with_its_time(house: House) -> None:
    """Without an event it returns nothing, be it one event or all of several, one of which came."""

    @house.client.create_function(fn_id="patient", trigger=on("app/patient"))
    async def patient(ctx: Context) -> Any:
        one = ctx.step.wait_for_event("one", event="app/never", timeout=30)
        both = ctx.step.wait_for_event("both", event=["app/patient2", "app/never"], all_of=True, timeout=300)
        return await asyncio.gather(one, both, ctx.step.wait_for_signal("signal", signal="never", timeout=30))

    async with house.worker():
        event_id = await house.send("app/patient")
        await house.parked(event_id)
        await house.send("app/patient2")
        assert output(await house.run_of(event_id)) == [None, None, None]


async def test_nobody_has_to_wait_before_somebody_else_answers(house: House) -> None:
    """With `since` an event counts that came before the wait: from the run's start on, or from a moment on."""
    before = datetime.now(UTC) - timedelta(seconds=1)  # noqa: TID251 a test's clock

    @house.client.create_function(fn_id="asks", trigger=on("app/asks"))
    async def asks(ctx: Context) -> Any:
        (told,) = await ctx.step.send_event("tell", Event(name="app/answer"))
        by_run = await ctx.step.wait_for_event("by-run", event="app/answer", since="run", timeout=LONG)
        by_moment = await ctx.step.wait_for_event("by-moment", event="app/answer", since=before, timeout=LONG)
        without = await ctx.step.wait_for_event("without", event="app/answer", timeout=30)
        own = await ctx.step.wait_for_event("own", event="app/asks", since="run", timeout=30)
        assert by_run is not None
        assert by_moment is not None
        return [by_run.id == told, by_moment.id == told, without, own]

    async with house.worker():
        assert output(await house.run_of(await house.send("app/asks"))) == [True, True, None, None]


async def test_several_events_are_waited_for(house: House) -> None:
    """Any of them is enough, or all of them are needed, which come back in the order they are named in."""

    @house.client.create_function(fn_id="several", trigger=on("app/several"))
    async def several(ctx: Context) -> Any:
        events = [WaitedEvent(event="app/a", match="data.user"), "app/b"]
        some = await ctx.step.wait_for_event("any", event=events)
        all_ = await ctx.step.wait_for_event("all", event=events, all_of=True)
        assert some is not None
        assert all_ is not None
        return [some.name, [event.name for event in all_]]

    async with house.worker():
        event_id = await house.send("app/several", user=1)
        await house.parked(event_id)
        await house.send("app/a", user=2)
        await house.send("app/b")
        while "all#0" not in await house.journal((await house.parked(event_id)).id):
            pass
        await house.send("app/b")
        await house.send("app/a", user=1)
        assert output(await house.run_of(event_id)) == ["app/b", ["app/a", "app/b"]]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"event": "app/a", "if_exp": "async.data.x >"}, "events[0].expression is not valid CEL"),
        ({"event": "app/a", "match": "data.nothing"}, "data.nothing"),
        ({"event": "x" * 257}, "events[0].event has 257 bytes; 256 are the most"),
    ],
)
async def test_a_wait_that_can_t_be_fails_the_run_at_once(house: House, step: dict[str, Any], words: str) -> None:
    """An expression that does not compile, for example; the error names the step, and nothing is tried again."""

    @house.client.create_function(fn_id="wrong", trigger=on("app/wrong"), retry=FAST)
    async def wrong(ctx: Context) -> Any:
        return await ctx.step.wait_for_event("paid", **step)

    async with house.worker():
        run = await house.run_of(await house.send("app/wrong"))
    assert (run.state, run.attempt, run.failure.name) == (run_pb2.RUN_STATE_FAILED, 1, "RejectedError")
    assert "the server refused step 'paid#0': " in run.failure.message
    assert words in run.failure.message


async def test_a_wait_that_is_met_while_a_sibling_runs_goes_on_at_once(house: House) -> None:
    """In the live invocation: the run is not handed out again, and the sibling not done again."""
    met = asyncio.Event()
    executed: list[str] = []

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def function(ctx: Context) -> Any:
        async def work() -> None:
            executed.append("work")
            await met.wait()

        async def wait() -> Any:
            event = await ctx.step.wait_for_event("paid", event="app/paid", timeout=LONG)
            met.set()
            return event is not None

        return (await asyncio.gather(ctx.step.run("work", work), wait()))[1]

    async with house.worker():
        event_id = await house.send("app/a")
        (run,) = await house.runs_of(event_id)
        while "paid#0" not in await house.journal(run.id):
            pass
        await house.send("app/paid")
        run = await house.run_of(event_id)
    assert (output(run), run.epoch, executed) == (True, 1, ["work"])


async def test_a_function_invokes_others(house: House) -> None:
    """By reference, by id, and of another app: each returns what the other returned; its run is a child in lineage."""
    other = Steplane(app_id="billing", address=house.address)

    @house.client.create_function(fn_id="double", trigger=on("app/double"))
    async def double(ctx: Context) -> int:
        await ctx.step.sleep("nap", 10)
        return 2 * int(ctx.event.data["n"])

    @other.create_function(fn_id="charge", trigger=on("app/charge"))
    def charge(ctx: ContextSync) -> str:
        return f"charged {ctx.event.data['n']}"

    @house.client.create_function(fn_id="parent", trigger=on("app/parent"))
    async def parent(ctx: Context) -> list[Any]:
        return list(
            await asyncio.gather(
                ctx.step.invoke("by-reference", function=double, data={"n": 1}),
                ctx.step.invoke("by-id", function="double", data={"n": 2}),
                ctx.step.invoke("of-another-app", function="billing/charge", data={"n": 3}, timeout=LONG),
                ctx.step.invoke("its-reference", function=charge, data={"n": 4}),
            )
        )

    billing = other.worker()
    task = asyncio.create_task(billing.run_async())
    await billing.connected()
    async with house.worker():
        event_id = await house.send("app/parent")
        assert output(await house.run_of(event_id)) == [2, 4, "charged 3", "charged 4"]
    billing.stop()
    await task
    lineage = await house.lineage(event_id)
    assert sorted(run.function_id for run in lineage.runs) == ["charge", "charge", "double", "double", "parent"]


async def test_what_became_of_an_invoked_run_is_told_apart(house: House) -> None:
    """Failed, by its own words; cancelled, timed out, unknown and skipped, by a reason."""

    @house.client.create_function(fn_id="fails", trigger=on("app/fails"), retries=0)
    async def fails(ctx: Context) -> None:
        raise ValueError("boom")

    @house.client.create_function(fn_id="waits", trigger=on("app/waits"))
    async def waits(ctx: Context) -> None:
        await ctx.step.sleep("nap", LONG)

    @house.client.create_function(
        fn_id="once", trigger=on("app/once"), rate_limit=RateLimit(limit=1, period=timedelta(hours=24))
    )
    async def once(ctx: Context) -> str:
        return "done"

    @house.client.create_function(fn_id="parent", trigger=on("app/parent"))
    async def parent(ctx: Context) -> Any:
        try:
            return await ctx.step.invoke("child", **ctx.event.data)
        except StepError as error:
            return [error.name, error.message, "in fails" in error.stack, error.reason]

    async def told(**how: Any) -> Any:
        return output(await house.run_of(await house.send("app/parent", **how)))

    async with house.worker():
        assert await told(function="fails") == ["ValueError", "boom", True, ""]
        assert (await told(function="waits", timeout=30))[3] == "TIMED_OUT"
        assert (await told(function="nobody"))[3] == "FUNCTION_NOT_FOUND"
        assert (await told(function="elsewhere/fails"))[3] == "FUNCTION_NOT_FOUND"
        assert await told(function="once") == "done"
        assert (await told(function="once"))[3] == "SKIPPED"
        event_id = await house.send("app/parent", function="waits")
        journal = await house.journal((await house.parked(event_id)).id)
        await house.parked(journal["child#0"].event_ids[0])
        (child,) = await house.runs_of(journal["child#0"].event_ids[0])
        await house.cancel(child.id)
        assert output(await house.run_of(event_id))[3] == "CANCELLED"


async def test_a_signal_reaches_the_run_that_waits_for_it(house: House) -> None:
    """From a client and from a step; who sends it learns who got it, or that nobody waits."""

    @house.client.create_function(fn_id="asks", trigger=on("app/asks"))
    async def asks(ctx: Context) -> Any:
        return await ctx.step.wait_for_signal("answer", signal=f"approve/{ctx.event.data['n']}", timeout=LONG)

    @house.client.create_function(fn_id="answers", trigger=on("app/answers"))
    def answers(ctx: ContextSync) -> Any:
        got = ctx.step.send_signal("tell", signal="approve/2", data={"by": "step"})
        try:
            ctx.step.send_signal("tell", signal="approve/2")
        except StepError as error:
            return [got, error.reason]

    async with house.worker():
        first, second = [await house.send("app/asks", n=n) for n in (1, 2)]
        runs = [await house.parked(each) for each in (first, second)]
        with pytest.raises(SendError, match=r"approve/3") as raised:
            await house.client.send_signal("approve/3")
        assert raised.value.code == "NOT_FOUND"
        assert await house.client.send_signal("approve/1", {"by": "client"}) == runs[0].id
        assert output(await house.run_of(first)) == {"by": "client"}
        told = output(await house.run_of(await house.send("app/answers")))
        assert told == [runs[1].id, "SIGNAL_NOT_FOUND"]
        assert output(await house.run_of(second)) == {"by": "step"}


async def test_one_step_waits_for_a_signal(house: House) -> None:
    """A second one fails, or takes the first one's place, as it wishes; the error's reason tells."""

    @house.client.create_function(fn_id="asks", trigger=on("app/asks"))
    async def asks(ctx: Context) -> Any:
        try:
            return await ctx.step.wait_for_signal("answer", signal="s", on_conflict=ctx.event.data["on_conflict"])
        except StepError as error:
            return error.reason

    async with house.worker():
        first = await house.send("app/asks", on_conflict="fail")
        await house.parked(first)
        assert output(await house.run_of(await house.send("app/asks", on_conflict="fail"))) == "SIGNAL_IN_USE"
        third = await house.send("app/asks", on_conflict="replace")
        assert output(await house.run_of(first)) == "SIGNAL_REPLACED"
        await house.parked(third)
        await house.client.send_signal("s", 7)
        assert output(await house.run_of(third)) == 7


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_step_is_tried_as_often_as_it_says(house: House, *, is_async: bool) -> None:
    """Its own policy counts for it, and the function's for all others."""
    executed: list[str] = []

    def fail(name: str) -> None:
        executed.append(name)
        raise ValueError(name)

    own = replace(FAST, attempts=4)

    async def on_loop(ctx: Context) -> None:
        for name, retry in (("own", own), ("none", replace(FAST, attempts=1)), ("default", None)):
            with pytest.raises(StepError, match=name):
                await ctx.step.run(name, fail, name, retry=retry)

    def in_thread(ctx: ContextSync) -> None:
        for name, retry in (("own", own), ("none", replace(FAST, attempts=1)), ("default", None)):
            with pytest.raises(StepError, match=name):
                ctx.step.run(name, fail, name, retry=retry)

    define = house.client.create_function(fn_id="f", trigger=on("app/a"), retry=replace(FAST, attempts=2))
    define(on_loop if is_async else in_thread)
    async with house.worker():
        assert output(await house.run_of(await house.send("app/a"))) is None
    assert executed == ["own"] * 4 + ["none"] + ["default"] * 2


async def test_a_failure_handler_learns_what_failed(house: House) -> None:
    """Once, with the event, the run, the step and the error; it has retries of its own, and its failure calls nobody."""
    called: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def charge() -> None:
        raise NonRetriableError("the card was declined")

    async def tell(ctx: Context) -> None:
        called.put_nowait({"event_id": ctx.event.id, **ctx.event.data})
        await ctx.step.run("mail", lambda: None)
        raise NonRetriableError("nobody listens")

    @house.client.create_function(fn_id="pay", trigger=on("app/pay"), on_failure=tell)
    async def pay(ctx: Context) -> None:
        await ctx.step.run("charge", charge)

    async with house.worker(functions=[pay]):
        event_id = await house.send("app/pay", order=7)
        run = await house.run_of(event_id)
        told = await called.get()
        handler = await house.run_of(told["event_id"], function_id="pay-on-failure")
        again = await house.run_of(await house.send("app/pay", order=8))
        assert (await called.get())["run_id"] == again.id
    assert handler.state == run_pb2.RUN_STATE_FAILED
    assert called.empty()
    assert (told["function_id"], told["run_id"]) == ("shop/pay", run.id)
    assert told["event"].items() >= {"id": event_id, "name": "app/pay", "data": {"order": 7}}.items()
    assert [event["id"] for event in told["events"]] == [event_id]
    error = told["error"]
    assert (error["name"], error["message"]) == ("NonRetriableError", "the card was declined")
    assert (error["step_key"], error["reason"]) == ("charge#0", "")
    assert "in charge" in error["stack"]


async def test_a_plain_function_waits_and_invokes_too(house: House) -> None:
    """All of it in a `def` function, in branches of a group, through several replays; no step runs twice."""
    executed: list[str] = []

    @house.client.create_function(fn_id="double", trigger=on("app/double"))
    def double(ctx: ContextSync) -> int:
        return 2 * int(ctx.event.data["n"])

    @house.client.create_function(fn_id="plain", trigger=on("app/plain"))
    def plain(ctx: ContextSync) -> Any:
        def body(name: str) -> str:
            executed.append(name)
            return name

        first = ctx.step.run("first", body, "first")
        paid, doubled, answer, ran, _ = ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event("paid", event="app/paid", match="data.user", timeout=LONG),
                lambda: ctx.step.invoke("double", function=double, data={"n": 4}),
                lambda: ctx.step.wait_for_signal("answer", signal="plain"),
                lambda: ctx.step.run("beside", body, "beside"),
                lambda: ctx.step.sleep("nap", 20),
            )
        )
        assert isinstance(paid, Event)
        return [first, paid.data["user"], doubled, answer, ran]

    async with house.worker():
        event_id = await house.send("app/plain", user=3)
        run = await house.parked(event_id)
        while not {"paid#0", "answer#0"} <= set(await house.journal(run.id)):
            pass
        await house.send("app/paid", user=3)
        await house.client.send_signal("plain", "yes")
        assert output(await house.run_of(event_id)) == ["first", 3, 8, "yes", "beside"]
    assert sorted(executed) == ["beside", "first"]
