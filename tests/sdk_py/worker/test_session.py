"""The connection: broken, silent, resumed, drained, blocked; and never deaf."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import grpc
import pytest

from steplane import Context, ContextSync, Steplane, SteplaneError, TriggerEvent
from steplane.gen.steplane.v1 import work_pb2
from tests.sdk_py.conftest import Clock, Running
from tests.sdk_py.peer import SECONDS_MAX, Peer, completed

Start: TypeAlias = Callable[..., Running]


async def two_steps(ctx: Context) -> int:
    """Two steps, one after the other."""
    return await ctx.step.run("a", lambda: 1) + await ctx.step.run("b", lambda: 2)


def leases(found: object) -> list[tuple[str, int]]:
    """Leases in words."""
    return [(lease.run_id, lease.epoch) for lease in found]  # type: ignore[attr-defined]  # a repeated field


def test_a_worker_says_who_it_is(start: Start, peer: Peer) -> None:
    """It registers its functions, then says hello; all slots are granted once it is welcome."""
    start(two_steps, slots=7)
    stream = peer.accept()
    assert [definition.function_id for definition in peer.registered] == ["f"]
    hello = stream.hello
    assert (hello.namespace, hello.app_id, list(hello.function_ids), list(hello.held)) == ("default", "app", ["f"], [])
    assert hello.instance_id
    stream.welcome()
    assert stream.take("credit").invocation_limit == 7


def test_unacknowledged_reports_are_sent_again_on_a_new_stream(start: Start, peer: Peer) -> None:
    """The connection breaks between a report and its ack: nothing is lost, and nothing is executed again."""
    executed: list[str] = []

    async def function(ctx: Context) -> None:
        await ctx.step.run("a", executed.append, "a")
        await ctx.step.run("b", executed.append, "b")

    start(function, slots=2)
    stream = peer.accept().welcome()
    stream.invoke()
    report = stream.take_report()
    stream.end(grpc.StatusCode.UNAVAILABLE, "cut")
    again = peer.accept()
    assert again.hello.instance_id == stream.hello.instance_id
    assert leases(again.hello.held) == [("r1", 1)]
    again.welcome(resumed=[("r1", 1)])
    assert again.take_report() == report
    assert again.take("credit").invocation_limit == 1
    again.ack(report, work_pb2.ACK_STATUS_DUPLICATE, entry=completed("a#0", b"null"))
    again.ack(again.take_report())
    assert again.take_report().HasField("run_completed")
    assert executed == ["a", "b"]


def test_what_happens_while_disconnected_is_reported_later(start: Start, peer: Peer) -> None:
    """A step that ends while there is no connection is reported on the next one."""
    begun, end = threading.Event(), threading.Event()

    def function(ctx: ContextSync) -> None:
        def body() -> str:
            begun.set()
            assert end.wait(SECONDS_MAX)
            return "late"

        ctx.step.run("a", body)

    start(function)
    stream = peer.accept().welcome()
    stream.invoke()
    assert begun.wait(SECONDS_MAX)
    stream.end(grpc.StatusCode.UNAVAILABLE)
    again = peer.accept()
    end.set()
    again.welcome(resumed=[("r1", 1)])
    assert again.take_report().step_completed.output.data == b'"late"'


def test_what_was_given_to_others_is_stopped(start: Start, peer: Peer) -> None:
    """A lease that the welcome does not resume is dropped: its code is stopped, its reports are not sent."""
    over = threading.Event()

    async def function(ctx: Context) -> None:
        try:
            await ctx.step.run("a", lambda: 1)
        finally:
            over.set()

    start(function, slots=1)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.take_report()
    stream.end()
    again = peer.accept().welcome()
    assert over.wait(SECONDS_MAX)
    assert again.take("credit").invocation_limit == 1
    again.invoke("r2")
    assert again.take_report().run_id == "r2"


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("is_welcome", [True, False])
def test_a_worker_reconnects_on_every_status(
    start: Start, peer: Peer, code: grpc.StatusCode, *, is_welcome: bool
) -> None:
    """Whatever a stream ends with, and whenever, there is another one."""
    start(two_steps)
    stream = peer.accept()
    if is_welcome:
        stream.welcome()
    stream.end(code, "as the test wants it")
    peer.accept().welcome().invoke()


def test_a_worker_that_is_not_connected_says_so(start: Start, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """Each loss is an error in the log, with its cause and when it is tried again; so is a connection that is back."""
    caplog.set_level(logging.INFO, "steplane")
    start(two_steps)
    peer.accept().welcome().end(grpc.StatusCode.INTERNAL, "a broken server")
    peer.accept().welcome().invoke()
    text = caplog.text
    assert f"connected to Steplane at {peer.address} (peer/1), session s1" in text
    assert f"not connected to Steplane: {peer.address} answers INTERNAL: a broken server. Trying again in" in text


def test_a_connection_that_is_lost_is_told_as_that(start: Start, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """Once it was good, the address and the keys are not to blame."""
    start(two_steps)
    peer.accept().welcome().end(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
    peer.accept()
    assert "not connected to Steplane: the connection was lost (Connection reset by peer). Trying again" in caplog.text


def test_a_stream_that_the_server_ends_is_reported_too(
    start: Start, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """An end without an error is still one that nobody asked for."""
    start(two_steps)
    peer.accept().welcome().end()
    peer.accept()
    assert "not connected to Steplane: the server ended the stream" in caplog.text


def test_a_silent_server_is_taken_for_dead(start: Start, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """A link that is open and says nothing for longer than the session's time-out is given up."""
    start(two_steps)
    stream = peer.accept().welcome(heartbeat_interval=0.05, session_timeout=2)
    stream.take("heartbeat")
    peer.accept()
    assert "the server was silent for 2 s" in caplog.text


def test_a_server_that_does_not_answer_the_hello_is_given_up(
    start: Start, peer: Peer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without a welcome is none."""
    monkeypatch.setattr("steplane.worker.stream._WELCOME_SECONDS_MAX", 0.1)
    start(two_steps)
    peer.accept()
    peer.accept()
    assert "does not answer the hello" in caplog.text


def test_a_server_that_talks_is_not_silent(start: Start, peer: Peer, clock: Clock) -> None:
    """Any frame is a sign of life."""
    start(two_steps)
    stream = peer.accept().welcome(heartbeat_interval=0.02, session_timeout=100)
    for run_id in ("r1", "r2", "r3"):
        clock.ahead += 60
        stream.invoke(run_id)
        assert stream.take_report().run_id == run_id
        # One that was made after the clock was set.
        while run_id not in [lease.run_id for lease in stream.take("heartbeat").held]:
            pass


def test_a_blocked_event_loop_stops_no_heartbeat(start: Start, peer: Peer) -> None:
    """Code that blocks the loop costs its own time only: heartbeats go on, and hold also what has not begun."""
    end = threading.Event()

    async def function(ctx: Context) -> None:
        end.wait(SECONDS_MAX)

    start(function)
    stream = peer.accept().welcome(heartbeat_interval=0.03)
    stream.invoke("r1")
    stream.invoke("r2")
    while leases(stream.take("heartbeat").held) != [("r1", 1), ("r2", 1)]:
        pass
    for _ in range(3):
        assert leases(stream.take("heartbeat").held) == [("r1", 1), ("r2", 1)]
    end.set()


def test_large_reports_go_in_several_frames(start: Start, peer: Peer) -> None:
    """No frame is larger than the server takes."""

    async def function(ctx: Context) -> None:
        await asyncio.gather(*(ctx.step.run(f"s{n}", lambda: "x" * 500) for n in range(10)))

    start(function)
    stream = peer.accept().welcome(frame_bytes_max=2000)
    stream.invoke()
    count = 0
    while count < 10:
        frame = stream.take("reports")
        assert frame.ByteSize() <= 2000
        count += len(frame.reports)
    assert count == 10


def test_a_server_that_goes_away_is_left_when_the_work_is_done(start: Start, peer: Peer) -> None:
    """After the server's drain the worker finishes, grants nothing, ends the stream and connects again."""
    start(two_steps, slots=1)
    stream = peer.accept().welcome()
    assert stream.take("credit").invocation_limit == 1
    stream.invoke()
    first = stream.take_report()
    stream.send(drain=work_pb2.ServerDrain(reason="an update"))
    stream.ack(first)
    stream.ack(stream.take_report())
    last = stream.take_report()
    assert last.run_completed.output.data == b"3"
    stream.ack(last)
    stream.take("end")
    again = peer.accept().welcome()
    assert again.take("credit").invocation_limit == 1


def test_a_drain_ends_what_runs_and_takes_nothing_more(start: Start, peer: Peer) -> None:
    """`stop` asks for no more work, hands back what comes all the same, and waits for the last ack."""
    running = start(two_steps, drain_timeout=timedelta(seconds=10))
    stream = peer.accept().welcome(heartbeat_interval=0.05)
    stream.invoke("r1")
    first = stream.take_report()
    running.stop()
    stream.take("drain")
    stream.invoke("r2")
    assert leases(stream.take("release").leases) == [("r2", 1)]
    stream.send(drain_ack=work_pb2.DrainAck(invocation_count=2))
    assert leases(stream.take("heartbeat").held) == [("r1", 1)]
    stream.ack(first)
    stream.ack(stream.take_report())
    stream.ack(stream.take_report())
    running.join()


def test_a_partial_invocation_is_handed_back_at_a_drain(start: Start, peer: Peer) -> None:
    """What has not begun uses up no attempt."""
    running = start(two_steps, drain_timeout=timedelta(seconds=10))
    stream = peer.accept().welcome()
    stream.invoke("r1", journal=[completed("a#0", b"1")], remaining=1)
    stream.invoke("r2")
    report = stream.take_report()
    running.stop()
    stream.take("drain")
    assert leases(stream.take("release").leases) == [("r1", 1)]
    stream.send(drain_ack=work_pb2.DrainAck())
    stream.ack(report)
    stream.ack(stream.take_report())
    stream.ack(stream.take_report())
    running.join()


@pytest.mark.parametrize("is_async", [True, False])
def test_a_drain_does_not_last_for_ever(start: Start, peer: Peer, *, is_async: bool) -> None:
    """What still runs after the drain's time is stopped and handed back, and no failure of it is reported."""

    async def on_loop(ctx: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    def in_thread(ctx: ContextSync) -> None:
        begun.set()
        hang.wait(30)

    begun, hang = threading.Event(), threading.Event()
    running = start(on_loop if is_async else in_thread, drain_timeout=timedelta(seconds=0.1))
    stream = peer.accept().welcome()
    stream.invoke()
    assert begun.wait(SECONDS_MAX)
    running.stop()
    stream.take("drain")
    stream.send(drain_ack=work_pb2.DrainAck())
    assert leases(stream.take("release").leases) == [("r1", 1)]
    stream.take("end")
    running.join()
    hang.set()


def test_an_idle_worker_stops_at_once_without_a_server(start: Start, peer: Peer) -> None:
    """Nothing runs and nobody is connected: there is nothing to wait for."""
    running = start(two_steps, drain_timeout=timedelta(seconds=30))
    peer.accept().welcome()
    peer.stop()
    running.stop()
    running.join()


def test_a_server_that_never_answers_keeps_nobody() -> None:
    """A connection that is taken and not served is no reason to hang at the end."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Steplane(app_id="app", address=f"127.0.0.1:{silent.getsockname()[1]}")
        client.create_function(fn_id="f", trigger=TriggerEvent(event="app/a"))(two_steps)
        running = Running(client.worker())
        taken, _ = silent.accept()
        with taken:
            running.stop()
            running.join()


async def test_a_worker_that_blocks_is_refused_on_a_loop(client: Steplane) -> None:
    """`run` in a running event loop says what to do instead."""
    client.create_function(fn_id="f", trigger=TriggerEvent(event="app/a"))(two_steps)
    with pytest.raises(SteplaneError, match=r"await worker\.run_async\(\) instead"):
        client.worker().run()


def test_a_worker_runs_once(start: Start, peer: Peer) -> None:
    """A second run of the same worker is refused."""
    running = start(two_steps)
    peer.accept().welcome()
    again = Running(running.worker)
    with pytest.raises(Exception, match="a worker runs once"):
        again.join()


def test_a_cancelled_worker_stops_at_once(client: Steplane, peer: Peer) -> None:
    """Whoever embeds a worker can cancel it: its work is handed back, and not failed."""
    begun = threading.Event()

    async def function(ctx: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(client.worker(drain_timeout=timedelta(seconds=30)).run_async())
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    client.create_function(fn_id="f", trigger=TriggerEvent(event="app/a"))(function)
    embedded = threading.Thread(target=lambda: asyncio.run(main()))
    embedded.start()
    stream = peer.accept().welcome()
    stream.invoke()
    stream.take("drain")
    assert leases(stream.take("release").leases) == [("r1", 1)]
    stream.take("end")
    embedded.join(SECONDS_MAX)
    assert not embedded.is_alive()
