"""Functions on a real server, over real sockets: the programs that users write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.app import running
from controlplane.config import Address, Config
from controlplane.gen.steplane.v1 import run_pb2
from steplane import (
    Context,
    ContextSync,
    Event,
    NonRetriableError,
    RegistrationError,
    RetryAfterError,
    SendError,
    StepError,
    TriggerCron,
    TriggerEvent,
    current_traceparent,
)
from tests.sdk_py.house import FAST, House, on

SECONDS_MAX = 60


@pytest.fixture(autouse=True)
async def _in_time() -> AsyncIterator[None]:
    """No test waits for ever."""
    async with asyncio.timeout(SECONDS_MAX):
        yield


async def test_a_function_fans_out(house: House) -> None:
    """The guide's program: users are fetched in a step, an event a user is sent, each runs its own function of two steps."""
    client, executed = house.client, []

    @client.create_function(fn_id="load-users", trigger=[on("app/fan-out"), TriggerCron(cron="0 12 * * 5")])
    async def load_users(ctx: Context) -> dict[str, int]:
        async def fetch() -> list[dict[str, int]]:
            executed.append("fetch")
            return [{"id": n} for n in range(5)]

        users = await ctx.step.run("fetch-users", fetch)
        events = [Event(name="app/email.send", data={**user, "user": user}) for user in users]
        await ctx.step.send_event("fan-out", events)
        return {"count": len(users)}

    @client.create_function(fn_id="send-email", trigger=on("app/email.send"))
    async def send_email(ctx: Context) -> str:
        async def load() -> dict[str, Any]:
            return {"name": f"user {ctx.event.data['user']['id']}"}

        async def send() -> str:
            executed.append(data["name"])
            return current_traceparent()

        data = await ctx.step.run("load-user-data", load)
        return await ctx.step.run("email-user", send)

    async with house.worker():
        root = await house.send("app/fan-out")
        run = await house.run_of(root)
        assert (run.state, run.output.data) == (run_pb2.RUN_STATE_COMPLETED, b'{"count":5}')
        event_ids = (await house.journal(run.id))["fan-out#0"].event_ids
        for event_id in event_ids:
            assert (await house.run_of(event_id)).state == run_pb2.RUN_STATE_COMPLETED
    assert sorted(executed) == ["fetch", *(f"user {n}" for n in range(5))]
    lineage = await house.lineage(root)
    assert (len(lineage.events), len(lineage.runs)) == (6, 6)
    traces = {run.traceparent[3:35] for run in lineage.runs} | {
        event.event.traceparent[3:35] for event in lineage.events
    }
    assert len(traces) == 1
    for journal, run in (
        (journal, run) for run in lineage.runs for journal in lineage.journals if journal.run_id == run.id
    ):
        steps = {entry.step_key: entry.traceparent for entry in journal.entries}
        if run.function_id == "send-email":
            assert (await house.run_of(run.event_id)).output.data == f'"{steps["email-user#0"]}"'.encode()


async def test_a_plain_function_does_all_of_it_too(house: House) -> None:
    """Steps, sleeps, events, branches and caught errors in a `def` function, through several replays."""
    executed: list[str] = []

    @house.client.create_function(fn_id="plain", trigger=on("app/plain"), retry=replace(FAST, attempts=2))
    def plain(ctx: ContextSync) -> Any:
        def body(name: str) -> str:
            executed.append(name)
            return name

        def fail() -> None:
            executed.append("fail")
            raise ValueError("boom")

        first = ctx.step.run("first", body, "first")
        ctx.step.sleep("nap", 20)
        ctx.step.sleep_until("then", datetime.now(UTC) + timedelta(milliseconds=10))  # noqa: TID251 a test's clock
        try:
            ctx.step.run("bad", fail)
        except StepError as error:
            caught = str(error)
        branches = ctx.group.parallel(
            (
                lambda: ctx.step.run("a", body, "a"),
                lambda: ctx.step.sleep("b", 20),
                lambda: ctx.step.run("c", body, "c"),
            )
        )
        sent = ctx.step.send_event("tell", [Event(name="app/told"), Event(name="app/told")])
        return [first, caught, branches, len(sent)]

    async with house.worker():
        run = await house.run_of(await house.send("app/plain"))
    assert run.output.data == b'["first","step \'bad\' failed: ValueError: boom",["a",null,"c"],2]'
    assert sorted(executed) == ["a", "c", "fail", "fail", "first"]


async def test_what_fails_is_tried_again(house: House) -> None:
    """Each step has its own tries, and the body its own: five of each, and what was recorded is not done again."""
    executed: list[str] = []

    @house.client.create_function(fn_id="flaky", trigger=on("app/flaky"), retry=FAST)
    async def flaky(ctx: Context) -> int:
        def body(name: str, fails: int) -> str:
            executed.append(name)
            if executed.count(name) <= fails:
                raise ValueError(name)
            return name

        await asyncio.gather(ctx.step.run("a", body, "a", 4), ctx.step.run("b", body, "b", 2))
        if ctx.attempt < 2:
            raise RuntimeError("outside of steps")
        return ctx.attempt

    async with house.worker():
        run = await house.run_of(await house.send("app/flaky"))
    assert (run.state, run.output.data) == (run_pb2.RUN_STATE_COMPLETED, b"2")
    assert sorted(executed) == ["a"] * 5 + ["b"] * 3
    journal = await house.journal(run.id)
    assert (journal["a#0"].attempts, journal["b#0"].attempts) == (5, 3)


@pytest.mark.parametrize(
    ("error", "tries"), [(ValueError("boom"), 3), (NonRetriableError("boom"), 1), (RetryAfterError("boom", 1), 3)]
)
async def test_an_exhausted_step_fails_its_run(house: House, error: Exception, tries: int) -> None:
    """At once, in the words of the step's last error, and without another try of the body."""
    bodies, executed = [], []

    @house.client.create_function(fn_id="doomed", trigger=on("app/doomed"), retry=replace(FAST, attempts=3))
    async def doomed(ctx: Context) -> None:
        def body() -> None:
            executed.append(1)
            raise error

        bodies.append(ctx.attempt)
        await ctx.step.run("pay", body)

    async with house.worker():
        run = await house.run_of(await house.send("app/doomed"))
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert (run.failure.name, run.failure.message, run.failure.step_key) == (type(error).__name__, "boom", "pay#0")
    assert (len(executed), set(bodies)) == (tries, {0})


async def test_what_can_t_be_retried_is_not(house: House) -> None:
    """A result that is no JSON, a step in a step: the run fails at its first try, and says what to do."""

    @house.client.create_function(fn_id="wrong", trigger=on("app/wrong"), retry=FAST)
    async def wrong(ctx: Context) -> Any:
        async def nested() -> None:
            await ctx.step.run("inner", print)

        if ctx.event.data["how"] == "nested":
            await ctx.step.run("outer", nested)
        return await ctx.step.run("set", lambda: {1}) if ctx.event.data["how"] == "step" else {1}

    async with house.worker():
        messages = {}
        for how in ("nested", "step", "result"):
            run = await house.run_of(await house.send("app/wrong", how=how))
            assert (run.state, run.attempt) == (run_pb2.RUN_STATE_FAILED, 1)
            messages[how] = run.failure.message
    assert "step 'inner' is called inside the body of step 'outer#0'" in messages["nested"]
    assert "the result of step 'set#0' is not JSON" in messages["step"]
    assert "the result of function 'wrong' is not JSON" in messages["result"]


async def test_a_run_that_waits_needs_no_slot(house: House) -> None:
    """A worker of one slot has many sleeping runs, and another run gets through meanwhile."""

    @house.client.create_function(fn_id="sleepy", trigger=on("app/sleepy"))
    async def sleepy(ctx: Context) -> str:
        await ctx.step.sleep("nap", timedelta(milliseconds=ctx.event.data["ms"]))
        return "awake"

    async with house.worker(slots=1):
        for _ in range(20):
            await house.send("app/sleepy", ms=3_600_000)
        run = await house.run_of(await house.send("app/sleepy", ms=50))
    assert run.output.data == b'"awake"'


async def test_a_worker_that_goes_hands_its_runs_on(house: House) -> None:
    """A run whose worker was cancelled in the middle of a step goes on with another, and uses up no attempt."""
    begun = asyncio.Event()
    attempts: list[int] = []

    @house.client.create_function(fn_id="long", trigger=on("app/long"))
    async def long(ctx: Context) -> int:
        async def body() -> int:
            begun.set()
            if len(attempts) == 1:
                await asyncio.Event().wait()
            return 7

        attempts.append(ctx.attempt)
        return await ctx.step.run("body", body) + await ctx.step.run("more", lambda: 1)

    worker = house.client.worker()
    first = asyncio.create_task(worker.run_async())
    await worker.connected()
    event_id = await house.send("app/long")
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with house.worker():
        run = await house.run_of(event_id)
    assert (run.output.data, run.epoch, attempts) == (b"8", 2, [0, 0])


async def test_a_cancelled_run_is_stopped(house: House) -> None:
    """Its code ends where it waits, and reports nothing more."""
    begun, over = asyncio.Event(), asyncio.Event()

    @house.client.create_function(fn_id="endless", trigger=on("app/endless"))
    async def endless(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    async with house.worker():
        event_id = await house.send("app/endless")
        await begun.wait()
        (run,) = await house.runs_of(event_id)
        await house.cancel(run.id)
        await over.wait()
    assert (await house.run_of(event_id)).state == run_pb2.RUN_STATE_CANCELLED


@pytest.mark.parametrize(
    ("define", "violation"),
    [
        ({"trigger": TriggerEvent(event="a", expression="event.data.x >")}, "event.expression"),
        ({"trigger": TriggerCron(cron="every day")}, "cron"),
        ({"trigger": on("a"), "retries": 21}, "retry.retries"),
        ({"trigger": []}, "triggers"),
    ],
)
async def test_a_bad_definition_is_refused_at_once(house: House, define: dict[str, Any], violation: str) -> None:
    """`run` raises what the server says, field by field: it is a bug of the program, and no reason to reconnect."""
    house.client.create_function(fn_id="bad", **define)(print)
    with pytest.raises(RegistrationError, match="refuses function 'bad'") as raised:
        await house.client.worker().run_async()
    assert violation in str(raised.value)
    assert violation in raised.value.violations[0].field
    assert raised.value.code == "INVALID_ARGUMENT"


async def test_a_bad_event_is_refused(house: House) -> None:
    """The batch's error names the event."""
    with pytest.raises(SendError, match=r"events\[1\]\.name") as raised:
        await house.client.send([Event(name="fine"), Event(name="steplane/mine")])
    assert raised.value.code == "INVALID_ARGUMENT"


async def test_a_server_that_restarts_loses_nothing(tmp_path: Path) -> None:
    """The worker keeps what it holds over the server's end, and goes on with the next server at the same place."""
    gate, executed = asyncio.Event(), []
    config = Config(db=tmp_path / "steplane.db", listen=Address("127.0.0.1", 0), synchronous="normal", drain_timeout=0)

    async def body(name: str, wait: Callable[[], Awaitable[object]] | None = None) -> str:
        executed.append(name)
        if wait is not None:
            await wait()
        return name

    async with running(config) as app:
        address = app.address
        house = House(str(address))

        @house.client.create_function(fn_id="f", trigger=on("app/a"))
        async def function(ctx: Context) -> list[str]:
            return [await ctx.step.run("a", body, "a", gate.wait), await ctx.step.run("b", body, "b")]

        worker = house.client.worker()
        task = asyncio.create_task(worker.run_async())
        await worker.connected()
        assert worker.is_connected
        event_id = await house.send("app/a")
        while not executed:  # noqa: ASYNC110 the step says it in a list
            await asyncio.sleep(0.01)
    gate.set()
    async with running(Config(db=config.db, listen=address, synchronous="normal")):
        run = await house.run_of(event_id)
        worker.stop()
        await task
    await house.close()
    assert (run.output.data, executed, run.epoch) == (b'["a","b"]', ["a", "b"], 1)
