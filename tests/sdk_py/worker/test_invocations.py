"""What a worker reports, and how it goes on after each answer of the server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from steplane import Context, ContextSync, Event, NonRetriableError, RetryAfterError, StepError
from steplane.gen.steplane.v1 import run_pb2, work_pb2
from tests.sdk_py.conftest import Running
from tests.sdk_py.peer import SECONDS_MAX, Peer, PeerStream, asleep, awake, completed, entry, failed, retrying

Start: TypeAlias = Callable[..., Running]


def kind(report: work_pb2.Report) -> str:
    """What a report tells."""
    return report.WhichOneof("body") or ""


async def steps(ctx: Context) -> Any:
    """Two steps, one after the other."""

    async def load(value: int) -> dict[str, Any]:
        return {"value": value, "pair": (1, 2)}

    first = await ctx.step.run("load", load, 7)
    second = await ctx.step.run("store", lambda: first["value"] + 1)
    return [first, second]


def steps_sync(ctx: ContextSync) -> Any:
    """The same as a plain function."""
    first = ctx.step.run("load", lambda value: {"value": value, "pair": (1, 2)}, 7)
    second = ctx.step.run("store", lambda: first["value"] + 1)
    return [first, second]


@pytest.mark.parametrize("function", [steps, steps_sync])
def test_each_step_is_reported_and_acknowledged_before_the_next(start: Start, peer: Peer, function: Any) -> None:
    """A function goes on after a step's ack only, and its result is the last report."""
    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    first = stream.take_report()
    assert (first.run_id, first.epoch, first.step_key, first.step_completed.attempt) == ("r1", 1, "load#0", 1)
    assert first.step_completed.output.data == b'{"value":7,"pair":[1,2]}'
    assert first.start_time.seconds > 1_700_000_000
    stream.ack(first)
    second = stream.take_report()
    assert (second.step_key, second.step_completed.output.data) == ("store#0", b"8")
    stream.ack(second)
    last = stream.take_report()
    assert (last.step_key, last.run_completed.output.data) == ("", b'[{"value":7,"pair":[1,2]},8]')


@pytest.mark.parametrize("function", [steps, steps_sync])
def test_recorded_steps_are_not_executed_again(start: Start, peer: Peer, function: Any) -> None:
    """With a journal, the function goes on where it was."""
    start(function)
    stream = peer.accept().welcome()
    stream.invoke(journal=[completed("load#0", b'{"value":41}')])
    report = stream.take_report()
    assert (report.step_key, report.step_completed.output.data) == ("store#0", b"42")


def test_a_duplicate_is_a_success(start: Start, peer: Peer) -> None:
    """A step that was on disk before goes on with what is recorded there, not with what it returned now."""
    start(steps)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), work_pb2.ACK_STATUS_DUPLICATE, entry=completed("load#0", b'{"value":99}'))
    assert stream.take_report().step_completed.output.data == b"100"


@pytest.mark.parametrize("status", [work_pb2.ACK_STATUS_STALE_EPOCH, work_pb2.ACK_STATUS_RUN_ENDED])
def test_a_run_that_is_no_longer_ours_is_stopped(start: Start, peer: Peer, status: work_pb2.AckStatus) -> None:
    """After a stale epoch, or once the run has ended, nothing more is reported of it; its slot is free."""
    ended = threading.Event()

    async def function(ctx: Context) -> None:
        try:
            await ctx.step.run("a", lambda: 1)
            await ctx.step.run("b", lambda: 2)
        finally:
            ended.set()

    start(function, slots=1)
    stream = peer.accept().welcome()
    assert stream.take("credit").invocation_limit == 1
    stream.invoke()
    stream.ack(stream.take_report(), status)
    assert ended.wait(SECONDS_MAX)
    assert stream.take("credit").invocation_limit == 2
    stream.invoke("r2")
    assert stream.take_report().run_id == "r2"


@pytest.mark.parametrize("how", ["cancellation", "heartbeat"])
@pytest.mark.parametrize("is_async", [True, False])
def test_the_server_can_stop_an_invocation(start: Start, peer: Peer, how: str, *, is_async: bool) -> None:
    """A cancellation, or a heartbeat's answer, ends the code where it waits; no `except Exception` keeps it."""
    ended: list[str] = []
    over = threading.Event()

    async def on_loop(ctx: Context) -> None:
        try:
            await ctx.step.run("a", lambda: 1)
        except Exception:  # noqa: BLE001 as users write it
            ended.append("swallowed")
        finally:
            over.set()

    def in_thread(ctx: ContextSync) -> None:
        try:
            ctx.step.run("a", lambda: 1)
        except Exception:  # noqa: BLE001 as users write it
            ended.append("swallowed")
        finally:
            over.set()

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.take_report()
    if how == "cancellation":
        cancellation = work_pb2.Cancellation(run_id="r1", epoch=1, reason="somebody said so")
        stream.send(cancellations=work_pb2.Cancellations(cancellations=[cancellation]))
    else:
        stream.send(heartbeat_ack=work_pb2.HeartbeatAck(stop=[work_pb2.Lease(run_id="r1", epoch=1)]))
    assert over.wait(SECONDS_MAX)
    assert ended == []
    stream.invoke("r2")
    assert stream.take_report().run_id == "r2"


def test_a_stop_of_what_has_ended_is_not_told(start: Start, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """A heartbeat and an ack may cross: then the server says of a run to stop it that has just ended."""
    caplog.set_level(logging.INFO, "steplane")

    async def function(ctx: Context) -> int:
        if ctx.run_id == "r2":
            await asyncio.Event().wait()
        return 1

    start(function)
    stream = peer.accept().welcome()
    stream.invoke("r1")
    stream.ack(stream.take_report())
    stream.invoke("r2")
    leases = [work_pb2.Lease(run_id=run_id, epoch=1) for run_id in ("r1", "r2")]
    stream.send(heartbeat_ack=work_pb2.HeartbeatAck(stop=leases))
    stream.invoke("r3")
    stream.take_report()
    assert "run r2 (epoch 1) is stopped here: the server gave it to somebody else" in caplog.text
    assert "run r1" not in caplog.text


def test_a_step_that_is_refused_fails_the_run(start: Start, peer: Peer) -> None:
    """The server's reason reaches the function as an error, and the run is not tried again."""
    start(steps)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), work_pb2.ACK_STATUS_REJECTED, message="a run can have 1,000 steps")
    report = stream.take_report()
    assert report.run_failed.retry.never
    assert report.run_failed.failure.message == "the server refused step 'load#0': a run can have 1,000 steps"


def test_an_outcome_that_is_refused_fails_the_run_once(start: Start, peer: Peer) -> None:
    """A result that the server does not take is reported as a failure; if that is refused too, the run is let go."""

    async def function(ctx: Context) -> str:
        return "done"

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), work_pb2.ACK_STATUS_REJECTED, message="too large")
    report = stream.take_report()
    assert (report.run_failed.retry.never, "too large" in report.run_failed.failure.message) == (True, True)
    stream.ack(report, work_pb2.ACK_STATUS_REJECTED, message="still")
    stream.invoke("r2")
    assert stream.take_report().run_id == "r2"


@pytest.mark.parametrize(
    ("error", "directive"),
    [(ValueError("boom"), None), (NonRetriableError("boom"), "never"), (RetryAfterError("boom", 1500), "after")],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_errors_say_how_to_go_on(
    start: Start, peer: Peer, error: Exception, directive: str | None, *, is_async: bool
) -> None:
    """Outside of steps as within: the failure, and what it says about trying again."""

    async def on_loop(ctx: Context) -> None:
        if ctx.event.data["in_step"]:
            await ctx.step.run("a", fail)
        fail()

    def in_thread(ctx: ContextSync) -> None:
        if ctx.event.data["in_step"]:
            ctx.step.run("a", fail)
        fail()

    def fail() -> None:
        raise error

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke("r1", data=b'{"in_step":true}')
    step = stream.take_report().step_failed
    assert (step.failure.name, step.failure.message, step.attempt) == (type(error).__name__, "boom", 1)
    assert (step.failure.step_key, step.retry.WhichOneof("directive")) == ("a#0", directive)
    stream.invoke("r2", data=b'{"in_step":false}')
    run = stream.take_report().run_failed
    assert (run.failure.name, run.failure.message, run.failure.step_key) == (type(error).__name__, "boom", "")
    assert run.retry.WhichOneof("directive") == directive


def test_a_failed_step_is_tried_again_when_the_server_says_so(start: Start, peer: Peer) -> None:
    """While other branches go on, a back-off ends with a resolution; each try has its number."""
    tries: list[int] = []
    held = threading.Event()

    async def function(ctx: Context) -> Any:
        return await asyncio.gather(ctx.step.run("flaky", flaky), ctx.step.run("long", asyncio.to_thread, held.wait, 5))

    def flaky() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("not yet")
        return len(tries)

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    report = stream.take_report()
    assert (report.step_failed.failure.message, report.step_failed.attempt) == ("not yet", 1)
    stream.ack(report, entry=retrying("flaky#0", 1, due=True))
    stream.resolve(retrying("flaky#0", 1, due=False))
    again = stream.take_report()
    assert (again.step_completed.output.data, again.step_completed.attempt) == (b"2", 2)
    stream.ack(again)
    held.set()
    stream.ack(stream.take_report())
    assert stream.take_report().run_completed.output.data == b"[2,true]"


@pytest.mark.parametrize("is_async", [True, False])
def test_an_exhausted_step_can_be_caught(start: Start, peer: Peer, *, is_async: bool) -> None:
    """StepError is raised where the step was called: now, and in every replay."""

    async def on_loop(ctx: Context) -> str:
        try:
            await ctx.step.run("pay", lambda: 1 / 0)
        except StepError as error:
            return f"{error.step_id} {error.name} {error.message}"
        return "no error"

    def in_thread(ctx: ContextSync) -> str:
        try:
            ctx.step.run("pay", lambda: 1 / 0)
        except StepError as error:
            return f"{error.step_id} {error.name} {error.message}"
        return "no error"

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), entry=failed("pay#0", "declined"))
    assert stream.take_report().run_completed.output.data == b'"pay ValueError declined"'
    stream.invoke("r2", journal=[failed("pay#0", "declined")])
    assert stream.take_report().run_completed.output.data == b'"pay ValueError declined"'


def test_an_uncaught_step_error_fails_the_run_for_good(start: Start, peer: Peer) -> None:
    """The run fails at once, in the words of the step's error."""

    async def function(ctx: Context) -> None:
        await ctx.step.run("pay", lambda: 1 / 0)

    start(function)
    stream = peer.accept().welcome()
    stream.invoke(journal=[failed("pay#0", "declined")])
    report = stream.take_report().run_failed
    assert report.retry.never
    failure = report.failure
    assert (failure.name, failure.message, failure.step_key) == ("ValueError", "declined", "pay#0")


def test_events_are_reported_and_never_sent(start: Start, peer: Peer) -> None:
    """A step's events travel in its report: the server records and stores them together."""

    async def function(ctx: Context) -> Any:
        one = await ctx.step.send_event("one", Event(name="app/b", data={"x": 1}, id="mine"))
        none = await ctx.step.send_event("none", [])
        many = await ctx.step.send_event("many", [Event(name="app/c"), Event(name="app/d", ts=5_000)])
        return [one, none, many]

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    report = stream.take_report()
    assert (report.step_key, [(e.id, e.name, e.data.data) for e in report.events_sent.events]) == (
        "one#0",
        [("mine", "app/b", b'{"x":1}')],
    )
    sent = entry("one#0", run_pb2.STEP_KIND_SEND_EVENTS, run_pb2.STEP_STATE_COMPLETED)
    sent.event_ids.append("mine")
    stream.ack(report, entry=sent)
    report = stream.take_report()
    assert [(e.id, e.ts.seconds) for e in report.events_sent.events] == [("", 0), ("", 5)]
    sent = entry("many#0", run_pb2.STEP_KIND_SEND_EVENTS, run_pb2.STEP_STATE_COMPLETED)
    sent.event_ids.extend(["x", "y"])
    stream.ack(report, entry=sent)
    assert stream.take_report().run_completed.output.data == b'[["mine"],[],["x","y"]]'
    assert peer.sent == []


def test_a_large_journal_comes_in_parts(start: Start, peer: Peer) -> None:
    """The code starts once all parts are there."""

    async def function(ctx: Context) -> int:
        return sum([await ctx.step.run("n", lambda: 0) for _ in range(5)])

    start(function)
    stream = peer.accept().welcome()
    stream.invoke(journal=[completed("n#0", b"1")], remaining=4)
    for numbers in ((1, 2), (3, 4)):
        part = work_pb2.JournalPart(run_id="r1", epoch=1, entries=[completed(f"n#{n}", b"1") for n in numbers])
        stream.send(journal_part=part)
    assert stream.take_report().run_completed.output.data == b"5"


def test_the_same_lease_again_changes_nothing(start: Start, peer: Peer) -> None:
    """An invocation that comes twice runs once."""
    start(steps)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.invoke()
    stream.ack(stream.take_report())
    stream.ack(stream.take_report())
    assert kind(stream.take_report()) == "run_completed"


def test_a_newer_lease_replaces_the_older_one(start: Start, peer: Peer) -> None:
    """With a higher epoch the run begins anew here, and the old code is stopped."""
    start(steps)
    stream = peer.accept().welcome()
    stream.invoke()
    old = stream.take_report()
    stream.invoke(epoch=2, journal=[completed("load#0", b'{"value":1}')])
    new = stream.take_report()
    assert (old.epoch, old.step_key, new.epoch, new.step_key) == (1, "load#0", 2, "store#0")
    stream.ack(old)
    stream.ack(new)
    last = stream.take_report()
    assert (last.epoch, kind(last)) == (2, "run_completed")


def test_a_function_that_is_not_served_is_let_go(start: Start, peer: Peer) -> None:
    """The server's mistake costs nothing but the time until it is noticed: the lease is in no heartbeat."""
    start(steps)
    stream = peer.accept().welcome(heartbeat_interval=0.05)
    stream.invoke("r1", function="unknown")
    while stream.take("heartbeat").held:
        pass


def test_frames_of_an_unknown_kind_are_ignored(start: Start, peer: Peer) -> None:
    """A newer server may say more than this SDK knows."""
    start(steps)
    stream = peer.accept().welcome()
    stream.send()
    stream.invoke()
    assert stream.take_report().step_key == "load#0"


def invoked_sleep(stream: PeerStream, **options: Any) -> list[work_pb2.Report]:
    """The reports of one frame, after an invocation."""
    stream.invoke(**options)
    return list(stream.take("reports").reports)


@pytest.mark.parametrize("is_async", [True, False])
def test_a_sleep_is_parked_in_the_frame_of_its_report(start: Start, peer: Peer, *, is_async: bool) -> None:
    """A function that sleeps needs one frame, and its slot is free at once."""

    async def on_loop(ctx: Context) -> str:
        await ctx.step.sleep("nap", timedelta(minutes=5))
        return "rested"

    def in_thread(ctx: ContextSync) -> str:
        ctx.step.sleep("nap", timedelta(minutes=5))
        return "rested"

    start(on_loop if is_async else in_thread, slots=1)
    stream = peer.accept().welcome()
    assert stream.take("credit").invocation_limit == 1
    sleep, park = invoked_sleep(stream)
    assert sleep.sleep_started.duration.seconds == 300
    assert (park.step_key, list(park.run_parked.blocked_by)) == ("", ["nap#0"])
    assert stream.take("credit").invocation_limit == 2
    stream.ack(sleep, entry=asleep("nap#0"))
    stream.ack(park)
    stream.invoke(epoch=2, journal=[awake("nap#0")])
    assert stream.take_report().run_completed.output.data == b'"rested"'


def test_a_hundred_sleeps_at_once_are_parked_together(start: Start, peer: Peer) -> None:
    """Invocations of one frame that all sleep are reported and parked in one frame as well."""

    async def function(ctx: Context) -> None:
        await ctx.step.sleep("nap", 1000)

    start(function)
    stream = peer.accept().welcome()
    invocations = [work_pb2.Invocation(run_id=f"r{n}", epoch=1, function_id="f") for n in range(100)]
    stream.send(invocations=work_pb2.Invocations(invocations=invocations))
    reports = stream.take("reports").reports
    assert [kind(report) for report in reports].count("run_parked") == 100
