"""When a function gives its slot back, and when not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from steplane import Context, ContextSync
from steplane.gen.steplane.v1 import work_pb2
from tests.sdk_py.conftest import Running
from tests.sdk_py.peer import SECONDS_MAX, Peer, asleep, awake, completed, retrying

Start: TypeAlias = Callable[..., Running]


async def gathered(ctx: Context) -> Any:
    """Two branches, one of which sleeps."""
    return await asyncio.gather(ctx.step.sleep("nap", 60_000), ctx.step.run("work", lambda: 1))


async def in_group(ctx: Context) -> Any:
    """The same, by the group."""
    return await ctx.group.parallel((lambda: ctx.step.sleep("nap", 60_000), lambda: ctx.step.run("work", lambda: 1)))


async def in_task_group(ctx: Context) -> None:
    """The same, by a task group."""
    async with asyncio.TaskGroup() as group:
        group.create_task(ctx.step.sleep("nap", 60_000))
        group.create_task(ctx.step.run("work", lambda: 1))


async def deep(ctx: Context) -> Any:
    """The same, some tasks deep."""

    async def branch() -> Any:
        return await asyncio.gather(asyncio.create_task(gathered(ctx)))

    return await asyncio.gather(branch())


def in_threads(ctx: ContextSync) -> Any:
    """The same, as a plain function."""
    return ctx.group.parallel((lambda: ctx.step.sleep("nap", 60_000), lambda: ctx.step.run("work", lambda: 1)))


@pytest.mark.parametrize("function", [gathered, in_group, in_task_group, deep, in_threads])
def test_a_function_parks_when_its_last_branch_is_blocked(start: Start, peer: Peer, function: Any) -> None:
    """A sleep beside a step that runs is not parked; it is once the step is done. When it wakes, all goes on."""
    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    reports = {report.step_key: report for report in stream.take_reports(2)}
    assert set(reports) == {"nap#0", "work#0"}
    stream.ack(reports["nap#0"], entry=asleep("nap#0"))
    stream.ack(reports["work#0"])
    park = stream.take_report()
    assert list(park.run_parked.blocked_by) == ["nap#0"]
    stream.ack(park)
    stream.invoke(epoch=2, journal=[asleep("nap#0"), completed("work#0", b"1")])
    again = stream.take_report()
    assert list(again.run_parked.blocked_by) == ["nap#0"]
    stream.invoke(epoch=3, journal=[awake("nap#0"), completed("work#0", b"1")])
    assert stream.take_report().run_completed.output.data in (b"[null,1]", b"[[[null,1]]]", b"null")


@pytest.mark.parametrize("is_async", [True, False])
def test_a_back_off_parks(start: Start, peer: Peer, *, is_async: bool) -> None:
    """A failed step that is to be tried again later blocks as a sleep does."""

    def fail() -> None:
        raise ValueError("boom")

    async def on_loop(ctx: Context) -> None:
        await ctx.step.run("flaky", fail)

    def in_thread(ctx: ContextSync) -> None:
        ctx.step.run("flaky", fail)

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), entry=retrying("flaky#0", 1, due=True))
    assert list(stream.take_report().run_parked.blocked_by) == ["flaky#0"]
    stream.invoke(epoch=2, journal=[retrying("flaky#0", 1, due=False)])
    again = stream.take_report()
    assert (again.step_key, again.step_failed.attempt) == ("flaky#0", 2)
    stream.ack(again, entry=retrying("flaky#0", 2, due=False))
    assert stream.take_report().step_failed.attempt == 3


@pytest.mark.parametrize("is_async", [True, False])
def test_a_parked_function_can_t_go_on(start: Start, peer: Peer, *, is_async: bool) -> None:
    """`finally` runs, `except Exception` does not see it, and a step called there ends the code again: nothing is reported."""
    seen: list[str] = []
    over = threading.Event()

    async def on_loop(ctx: Context) -> None:
        try:
            await ctx.step.sleep("nap", 60_000)
        except Exception:  # noqa: BLE001 as users write it
            seen.append("swallowed")
        finally:
            seen.append("finally")
            over.set()
            await ctx.step.run("clean-up", seen.append, "clean-up")
            seen.append("after")

    def in_thread(ctx: ContextSync) -> None:
        try:
            ctx.step.sleep("nap", 60_000)
        except Exception:  # noqa: BLE001 as users write it
            seen.append("swallowed")
        finally:
            seen.append("finally")
            over.set()
            ctx.step.run("clean-up", seen.append, "clean-up")
            seen.append("after")

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome(heartbeat_interval=0.05)
    stream.invoke()
    _, park = stream.take("reports").reports
    assert over.wait(SECONDS_MAX)
    stream.ack(park)
    while stream.take("heartbeat").held:
        pass
    assert seen == ["finally"]


async def test_code_that_does_something_else_gets_on(start: Start, peer: Peer) -> None:
    """A short wait outside of steps, beside a blocked one, is waited for: its branch goes on in the same invocation."""

    async def function(ctx: Context) -> None:
        async def branch() -> None:
            await asyncio.sleep(0.02)
            await ctx.step.run("work", lambda: 1)

        await asyncio.gather(ctx.step.sleep("nap", 60_000), branch())

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    sleep, work = stream.take_reports(2)
    assert (sleep.step_key, work.step_key) == ("nap#0", "work#0")
    stream.ack(work)
    assert list(stream.take_report().run_parked.blocked_by) == ["nap#0"]


def test_code_that_does_something_else_keeps_its_slot(
    start: Start, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it waits outside of steps: it is parked when that is over, and not before."""
    monkeypatch.setattr("steplane.worker.invocation.LOOK_AGAIN_SECONDS", 0.01)
    end = threading.Event()

    async def function(ctx: Context) -> None:
        async def branch() -> None:
            await asyncio.to_thread(end.wait, 5)
            await ctx.step.run("work", lambda: 1)

        await asyncio.gather(ctx.step.sleep("nap", 60_000), branch())

    start(function)
    stream = peer.accept().welcome(heartbeat_interval=0.1)
    stream.invoke()
    stream.ack(stream.take_report(), entry=asleep("nap#0"))
    assert len(stream.take("heartbeat").held) == 1
    assert len(stream.take("heartbeat").held) == 1
    end.set()
    work = stream.take_report()
    assert work.step_key == "work#0"
    stream.ack(work)
    assert list(stream.take_report().run_parked.blocked_by) == ["nap#0"]


def test_steps_in_threads_of_ones_own_keep_the_slot(start: Start, peer: Peer) -> None:
    """Nobody knows what threads do that the SDK did not start: their function stays, and goes on when the sleep is over."""

    def function(ctx: ContextSync) -> Any:
        with ThreadPoolExecutor() as pool:
            branches = (lambda: ctx.step.sleep("nap", 60_000), lambda: ctx.step.run("work", lambda: 1))
            return list(pool.map(lambda branch: branch(), branches))

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    reports = {report.step_key: report for report in stream.take_reports(2)}
    stream.ack(reports["nap#0"], entry=asleep("nap#0"))
    stream.ack(reports["work#0"])
    stream.resolve(awake("nap#0"))
    assert stream.take_report().run_completed.output.data == b"[null,1]"


def test_a_step_that_runs_keeps_the_function(start: Start, peer: Peer) -> None:
    """However long a body takes, its invocation is not parked, and a sleep that ends meanwhile is resolved here."""
    begun, end = threading.Event(), threading.Event()

    async def function(ctx: Context) -> Any:
        def body() -> str:
            begun.set()
            end.wait(SECONDS_MAX)
            return "done"

        return await asyncio.gather(ctx.step.sleep("nap", 60_000), ctx.step.run("work", asyncio.to_thread, body))

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    sleep = stream.take_report()
    assert begun.wait(SECONDS_MAX)
    stream.ack(sleep, entry=asleep("nap#0"))
    stream.resolve(awake("nap#0"))
    end.set()
    work = stream.take_report()
    assert kind(work) == "step_completed"
    stream.ack(work)
    assert stream.take_report().run_completed.output.data == b'[null,"done"]'


def test_a_branch_that_is_cancelled_blocks_no_longer(start: Start, peer: Peer) -> None:
    """Code that gives up waiting for a step goes on, and is not parked by it."""

    async def function(ctx: Context) -> str:
        nap = asyncio.create_task(ctx.step.sleep("nap", 60_000))
        await asyncio.sleep(0.01)
        nap.cancel()
        return await ctx.step.run("work", lambda: "gave up")

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    sleep, work = stream.take_reports(2)
    assert (sleep.step_key, work.step_key) == ("nap#0", "work#0")
    stream.ack(work)
    assert stream.take_report().run_completed.output.data == b'"gave up"'


def test_a_sleep_that_may_be_refused_is_not_parked_before_its_ack(start: Start, peer: Peer) -> None:
    """Or a run whose sleep is refused would be parked, queued and parked for ever: the refusal fails it."""

    async def function(ctx: Context) -> None:
        await ctx.step.run("first", lambda: 1)
        await ctx.step.sleep("nap", 60_000)

    start(function)
    stream = peer.accept().welcome(run_steps_max=1)
    stream.invoke()
    stream.ack(stream.take_report())
    sleep = stream.take_report()
    assert sleep.step_key == "nap#0"
    stream.ack(sleep, work_pb2.ACK_STATUS_REJECTED, message="a run can have 1 step")
    assert "a run can have 1 step" in stream.take_report().run_failed.failure.message


def test_a_sleep_may_end_at_once(start: Start, peer: Peer) -> None:
    """A moment that is past, or no time at all: the server knows when it is over, and says so."""

    async def function(ctx: Context) -> str:
        async def both() -> None:
            await ctx.step.sleep_until("past", datetime(2020, 1, 1, tzinfo=UTC))
            await ctx.step.sleep("none", -5)

        await asyncio.gather(both(), ctx.step.run("work", asyncio.to_thread, hold.wait, 5))
        return "awake"

    hold = threading.Event()
    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    past = stream.take_report()
    assert past.sleep_started.due_time.seconds == 1_577_836_800
    stream.ack(past, entry=awake("past#0"))
    none = stream.take_report()
    assert none.sleep_started.duration.seconds == 0
    stream.ack(none, entry=awake("none#0"))
    hold.set()
    stream.ack(stream.take_report())
    assert stream.take_report().run_completed.output.data == b'"awake"'


def kind(report: work_pb2.Report) -> str:
    """What a report tells."""
    return report.WhichOneof("body") or ""
