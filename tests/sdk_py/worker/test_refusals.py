"""What can't be: refused by the worker itself, with what to do about it, and never tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pytest

from steplane import Context, ContextSync, Event, Retry, WaitedEvent
from tests.sdk_py.conftest import Running
from tests.sdk_py.peer import Peer, awake

Start: TypeAlias = Callable[..., Running]


async def load(ctx: Context) -> Any:
    """One step."""
    return await ctx.step.run("load", lambda: 1)


@pytest.mark.parametrize(
    ("value", "words"),
    [({1, 2}, ["'a#0'", "set is not JSON", "asdict"]), ("x" * 2000, ["'a#0'", "has 2002 bytes; 1000 are the most"])],
)
def test_a_result_that_can_t_be_kept_fails_its_step_for_good(
    start: Start, peer: Peer, value: Any, words: list[str]
) -> None:
    """It is named with the step, the limit and the remedy, and not tried again."""

    async def function(ctx: Context) -> Any:
        return await ctx.step.run("a", lambda: value) if ctx.run_id == "r1" else value

    start(function)
    stream = peer.accept().welcome(step_output_bytes_max=1000)
    stream.invoke()
    step = stream.take_report().step_failed
    assert step.retry.never
    assert all(word in step.failure.message for word in words)
    stream.invoke("r2")
    run = stream.take_report().run_failed
    assert run.retry.never
    assert "function 'f'" in run.failure.message


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Event(name="a")] * 4, "sends 4 events; 3 are the most"),
        ([Event(name="a"), Event(name="a", data={"x": "y" * 200})], "event 1 has 208 bytes; 100 are the most"),
        ([Event(name="a", data={"x": "y" * 80})] * 3, "bytes; 250 are the most"),
    ],
)
def test_events_beyond_the_limits_are_refused(start: Start, peer: Peer, events: list[Event], words: str) -> None:
    """Nothing is sent, and the error names limit and remedy."""

    async def function(ctx: Context) -> None:
        await ctx.step.send_event("fan-out", events)

    start(function)
    stream = peer.accept().welcome(event_bytes_max=100, batch_events_max=3, batch_bytes_max=250)
    stream.invoke()
    report = stream.take_report().run_failed
    assert (report.retry.never, report.failure.name) == (True, "TooLargeError")
    assert words in report.failure.message


DAYS_366 = timedelta(days=366)
NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001 its lack of a time zone is the point


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda step: step.sleep("s", 1.5), "step 's': duration=1.5: a duration is a timedelta or a number"),
        (lambda step: step.sleep("s", DAYS_366 + timedelta(seconds=1)), "step 's': duration is 366 days, 0:00:01; 366"),
        (lambda step: step.sleep_until("s", NOON), "step 's': 2026-01-01T12:00:00 has no time zone"),
        (lambda step: step.wait_for_event("s", event=[]), "step 's' waits for no event"),
        (lambda step: step.wait_for_event("s", event=["a"] * 11), "step 's' waits for 11 events; 10 are the most"),
        (lambda step: step.wait_for_event("s", event=""), "step 's': event is a name, not ''"),
        (lambda step: step.wait_for_event("s", event=None), "step 's': event is a name, not None"),
        (lambda step: step.wait_for_event("s", event=["a", 3]), "step 's': event is a name, not 3"),
        (
            lambda step: step.wait_for_event("s", event="a", match="data.x", if_exp="true"),
            "step 's': event 'a' has match and if_exp; say both in if_exp: 'event.data.x == async.data.x && ...'",
        ),
        (
            lambda step: step.wait_for_event("s", event=WaitedEvent(event="a", match="data.x", if_exp="true")),
            "step 's': event 'a' has match and if_exp",
        ),
        (
            lambda step: step.wait_for_event("s", event=[WaitedEvent(event="a")], match="data.x"),
            "step 's': match and if_exp are for events that are given by name; say it in WaitedEvent(event='a', ...)",
        ),
        (
            lambda step: step.wait_for_event("s", event="a", timeout=DAYS_366 + timedelta(microseconds=1)),
            "step 's': timeout is 366 days, 0:00:00.000001; 366 days are the most",
        ),
        (lambda step: step.wait_for_event("s", event="a", timeout=-1), "timeout is -1 day, 23:59:59.999000; it can't"),
        (lambda step: step.wait_for_event("s", event="a", timeout="1s"), "step 's': timeout='1s': a duration is a"),
        (
            lambda step: step.wait_for_event("s", event="a", since=NOON),
            "step 's': 2026-01-01T12:00:00 has no time zone",
        ),
        (lambda step: step.wait_for_event("s", event="a", since="start"), "since is a moment or 'run', not 'start'"),
        (lambda step: step.invoke("s", function=print), "step 's': function is a name, not <built-in function print>"),
        (lambda step: step.invoke("s", function=""), "step 's': function is a name, not ''"),
        (lambda step: step.invoke("s", function="f", data=[1]), "the data of step 's' is a list; it has to be a dict"),
        (lambda step: step.invoke("s", function="f", data={"x": {1}}), "the data of step 's' is not JSON"),
        (lambda step: step.invoke("s", function="f", data={"x": "y" * 93}), "has 101 bytes; 100 are the most. Store"),
        (lambda step: step.invoke("s", function="f", timeout=10**12), "step 's': timeout is 11574 days, 1:46:40; 366"),
        (lambda step: step.wait_for_signal("s", signal=""), "step 's': signal is a name, not ''"),
        (
            lambda step: step.wait_for_signal("s", signal="a", on_conflict="x"),
            "on_conflict is 'fail' or 'replace', not 'x'",
        ),
        (lambda step: step.wait_for_signal("s", signal="a", timeout=10**20), "step 's': timeout=100000000000000000000"),
        (lambda step: step.send_signal("s", signal=None), "step 's': signal is a name, not None"),
        (lambda step: step.send_signal("s", signal="a", data={1}), "the data of step 's' is not JSON"),
        (lambda step: step.send_signal("s", signal="a", data="x" * 99), "the data of step 's' has 101 bytes; 100 are"),
        (lambda step: step.run("s", int, retry=Retry(attempts=22, first_delay=1)), "Retry(attempts=22): 1 to 21"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_what_a_step_can_t_be_given_fails_the_run_for_good(
    start: Start, peer: Peer, step: Callable[[Any], Any], words: str, *, is_async: bool
) -> None:
    """The error names the step, what is wrong and what would do; no try and no report of the step is wasted on it."""

    async def on_loop(ctx: Context) -> None:
        await step(ctx.step)

    start(on_loop if is_async else lambda ctx: step(ctx.step))
    stream = peer.accept().welcome(event_bytes_max=100)
    stream.invoke()
    report = stream.take_report().run_failed
    assert report.retry.never
    assert words in report.failure.message


@pytest.mark.parametrize(
    "step",
    [
        lambda step: step.wait_for_event("inner", event="a"),
        lambda step: step.invoke("inner", function="f"),
        lambda step: step.wait_for_signal("inner", signal="a"),
        lambda step: step.send_signal("inner", signal="a"),
    ],
)
def test_no_step_of_any_kind_goes_into_another(start: Start, peer: Peer, step: Callable[[Any], Any]) -> None:
    """The error names both, and the outer one is not tried again."""

    async def function(ctx: Context) -> None:
        async def body() -> None:
            await step(ctx.step)

        await ctx.step.run("outer", body)

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    failed = stream.take_report().step_failed
    assert failed.retry.never
    assert "step 'inner' is called inside the body of step 'outer#0'" in failed.failure.message


@pytest.mark.parametrize("is_async", [True, False])
def test_a_step_inside_a_step_is_refused(start: Start, peer: Peer, *, is_async: bool) -> None:
    """It can't be replayed; the error names both steps."""

    async def on_loop(ctx: Context) -> None:
        async def body() -> None:
            await ctx.step.run("inner", lambda: 1)

        await ctx.step.run("outer", body)

    def in_thread(ctx: ContextSync) -> None:
        ctx.step.run("outer", lambda: ctx.step.run("inner", lambda: 1))

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke()
    report = stream.take_report()
    assert (report.step_key, report.step_failed.retry.never) == ("outer#0", True)
    assert "step 'inner' is called inside the body of step 'outer#0'" in report.step_failed.failure.message


def test_code_that_no_longer_matches_fails_with_expected_and_found(start: Start, peer: Peer) -> None:
    """The same key with another kind is never retried."""
    start(load)
    stream = peer.accept().welcome()
    stream.invoke(journal=[awake("load#0")])
    report = stream.take_report().run_failed
    assert (report.retry.never, report.failure.name) == (True, "NonDeterminismError")
    assert "expected: step.sleep('load'" in report.failure.message
    assert "found:    step.run('load'" in report.failure.message


def test_an_async_handler_in_a_plain_function_is_refused(start: Start, peer: Peer) -> None:
    """It would never run: the error says what to change."""

    async def handler() -> None:
        """Do nothing."""

    def function(ctx: ContextSync) -> None:
        ctx.step.run("a", handler)

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    step = stream.take_report().step_failed
    assert step.retry.never
    assert "make the function `async def`" in step.failure.message


@pytest.mark.parametrize("id_", ["", "x" * 300, "a\nb"])
def test_a_bad_step_id_is_refused(start: Start, peer: Peer, id_: str) -> None:
    """A step's id that the server would not take fails the run at once."""

    async def function(ctx: Context) -> None:
        await ctx.step.sleep(id_, 1000)

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    report = stream.take_report().run_failed
    assert (report.retry.never, report.failure.name) == (True, "StepIdError")


@pytest.mark.parametrize("is_async", [True, False])
def test_a_function_that_exits_fails_its_run(start: Start, peer: Peer, *, is_async: bool) -> None:
    """And not its worker, which would be the next one's fate as well."""

    async def on_loop(ctx: Context) -> None:
        raise SystemExit("enough")

    def in_thread(ctx: ContextSync) -> None:
        raise SystemExit("enough")

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke()
    failure = stream.take_report().run_failed.failure
    assert (failure.name, failure.message) == ("SystemExit", "enough")
