"""What a function is given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import pytest

from steplane import Context, ContextSync, Event, current_traceparent
from steplane.replay.key import step_span_id
from tests.sdk_py.conftest import Running
from tests.sdk_py.peer import Peer, completed

Start: TypeAlias = Callable[..., Running]

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736"
RUN = f"{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize("is_async", [True, False])
def test_a_context_tells_of_its_run(start: Start, peer: Peer, *, is_async: bool) -> None:
    """The event, all events, the run, the attempt: the same in both kinds of function."""
    seen: list[tuple[object, ...]] = []

    async def on_loop(ctx: Context) -> None:
        seen.append((ctx.event, ctx.events, ctx.run_id, ctx.attempt, ctx.traceparent))

    def in_thread(ctx: ContextSync) -> None:
        seen.append((ctx.event, ctx.events, ctx.run_id, ctx.attempt, ctx.traceparent))

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke("r7", data=b'{"user":{"id":3}}')
    stream.take_report()
    event = Event(name="app/a", id="e1", data={"user": {"id": 3}})
    assert seen == [(event, [event], "r7", 0, RUN)]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_step_has_its_own_trace_context(start: Start, peer: Peer, *, is_async: bool) -> None:
    """In a body it is the step's, outside the run's, and outside of runs there is none: one trace through all."""
    seen: list[str] = []

    async def on_loop(ctx: Context) -> None:
        async def body() -> None:
            seen.append(current_traceparent())

        seen.append(current_traceparent())
        await ctx.step.run("a", body)
        seen.append(current_traceparent())

    def in_thread(ctx: ContextSync) -> None:
        seen.append(current_traceparent())
        ctx.step.run("a", lambda: seen.append(current_traceparent()))
        ctx.group.parallel([lambda: seen.append(current_traceparent())])

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke("r1")
    stream.ack(stream.take_report())
    stream.take_report()
    assert seen == [RUN, f"{TRACE}-{step_span_id('r1', 'a#0')}-01", RUN]
    assert current_traceparent() == ""


def test_what_was_logged_is_not_logged_again(start: Start, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """The logger is silent while the code walks over recorded steps; its records carry the run's id, and what else is given."""
    caplog.set_level(logging.INFO, "steplane.functions")

    async def function(ctx: Context) -> None:
        ctx.logger.info("begins")
        await ctx.step.run("a", lambda: 1)
        ctx.logger.info("after %s", "a", extra={"user": 3})
        await ctx.step.run("b", lambda: 1)
        ctx.logger.info("after b")

    start(function)
    stream = peer.accept().welcome()
    stream.invoke("r1")
    stream.take_report()
    stream.invoke("r1", epoch=2, journal=[completed("a#0", b"1")])
    stream.ack(stream.take_report())
    stream.take_report()
    records = [record for record in caplog.records if record.name == "steplane.functions.f"]
    assert [record.getMessage() for record in records] == ["begins", "after a", "after b"]
    assert {record.__dict__["run_id"] for record in records} == {"r1"}
    assert records[1].__dict__["user"] == 3


def test_branches_come_back_in_order(start: Start, peer: Peer) -> None:
    """`group.parallel` of a plain function returns results in order, and raises the first error once all have ended."""
    ended: list[str] = []

    def function(ctx: ContextSync) -> object:
        if ctx.run_id == "r1":
            return ctx.group.parallel([lambda: 1, lambda: "two", lambda: ctx.group.parallel([lambda: 3])])
        return ctx.group.parallel([lambda: 1 / 0, lambda: int("x"), lambda: ended.append("last")])

    start(function)
    stream = peer.accept().welcome()
    stream.invoke("r1")
    assert stream.take_report().run_completed.output.data == b'[1,"two",[3]]'
    stream.invoke("r2")
    assert stream.take_report().run_failed.failure.name == "ZeroDivisionError"
    assert ended == ["last"]


def test_no_branches_are_no_work(start: Start, peer: Peer) -> None:
    """An empty group returns at once."""

    def function(ctx: ContextSync) -> object:
        return ctx.group.parallel([])

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    assert stream.take_report().run_completed.output.data == b"[]"
