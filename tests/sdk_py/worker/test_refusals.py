"""What can't be: refused by the worker itself, with what to do about it, and never tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from steplane import Context, ContextSync, Event
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
