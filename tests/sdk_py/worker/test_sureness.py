"""No step begins while its run may be somebody else's: the connection is gone, or the process stood still for too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeAlias

import pytest

from steplane import Context, ContextSync
from tests.sdk_py.conftest import Clock, Running
from tests.sdk_py.peer import SECONDS_MAX, Peer

Start: TypeAlias = Callable[..., Running]


class Program:
    """Waits for something of its own, and then for a step."""

    def __init__(self) -> None:
        self.is_waiting = threading.Event()
        self.executed: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._go_on = threading.Event()
        self._go_on_async = asyncio.Event()

    async def on_loop(self, ctx: Context) -> None:
        """As a coroutine."""
        self._loop = asyncio.get_running_loop()
        self.is_waiting.set()
        await self._go_on_async.wait()
        await ctx.step.run("a", self.executed.append, "a")

    def in_thread(self, ctx: ContextSync) -> None:
        """As a plain function."""
        self.is_waiting.set()
        assert self._go_on.wait(SECONDS_MAX)
        ctx.step.run("a", self.executed.append, "a")

    def go_on(self) -> None:
        """Let it come to its step."""
        self._go_on.set()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._go_on_async.set)


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_no_step_begins_while_there_is_no_connection(
    start: Start, peer: Peer, *, is_async: bool, is_kept: bool
) -> None:
    """What comes to a step waits until the server has said whether the run is still this worker's."""
    program = Program()
    start(program.on_loop if is_async else program.in_thread, slots=1)
    stream = peer.accept().welcome()
    stream.invoke()
    assert program.is_waiting.wait(SECONDS_MAX)
    stream.end()
    again = peer.accept()
    program.go_on()
    if is_kept:
        assert program.executed == []
        again.welcome(resumed=[("r1", 1)])
        assert again.take_report().step_key == "a#0"
    else:
        again.welcome()
        # The slot is free once the code has come to its end.
        assert again.take("credit").invocation_limit == 1
    assert program.executed == (["a"] if is_kept else [])


@pytest.mark.parametrize("is_async", [True, False])
def test_no_step_begins_after_the_process_stood_still(
    start: Start, peer: Peer, clock: Clock, *, is_async: bool
) -> None:
    """It was frozen for longer than the session's time: what it had may have been done by others by now."""
    program = Program()
    start(program.on_loop if is_async else program.in_thread, slots=1)
    stream = peer.accept().welcome(heartbeat_interval=1, session_timeout=5)
    stream.invoke()
    assert program.is_waiting.wait(SECONDS_MAX)
    clock.ahead += 6
    program.go_on()
    again = peer.accept()
    assert [lease.run_id for lease in again.hello.held] == ["r1"]
    again.welcome()
    assert again.take("credit").invocation_limit == 1
    assert program.executed == []


def test_what_came_meanwhile_is_not_begun(
    start: Start, peer: Peer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames that were sent to a frozen process are of long ago when it reads them."""
    executed: list[str] = []

    async def function(ctx: Context) -> None:
        await ctx.step.run("a", executed.append, ctx.run_id)

    start(function, slots=1)
    stream = peer.accept().welcome(heartbeat_interval=60, session_timeout=120)
    stream.take("credit")
    clock.ahead += 121
    stream.invoke("r1")
    again = peer.accept().welcome()
    assert list(again.hello.held) == []
    again.invoke("r2")
    assert again.take_report().run_id == "r2"
    assert executed == ["r2"]
    assert "this process stood still for 121." in caplog.text
