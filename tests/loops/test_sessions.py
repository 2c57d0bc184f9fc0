"""When silent sessions are found, and when it is not they who were silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controlplane.core.limits import HOUR, MILLISECOND, SECOND
from controlplane.engine.commands import Connect, Heartbeat, Welcomed
from controlplane.engine.settings import Settings
from controlplane.loops.sessions import LATE, Sessions

if TYPE_CHECKING:
    from controlplane.engine.outbox import Delivery
    from tests.loops.conftest import Engine

TIMEOUT = Settings().session_timeout
HEARTBEAT = Settings().heartbeat_interval


class Stream:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def deliver(self, delivery: Delivery) -> None:
        """Take one delivery."""
        self.closed.append(delivery.closed)


async def _connect(engine: Engine, stream: Stream) -> str:
    connect = Connect(
        namespace="default",
        app_id="app",
        function_ids=(),
        instance_id="i1",
        sdk="",
        language="",
        held=(),
        outbox=stream,
    )
    welcomed: Welcomed = await engine.mailbox.submit(connect)
    return welcomed.session_id


def _sessions(engine: Engine, *, grace: int = 5 * SECOND) -> Sessions:
    return Sessions(mailbox=engine.mailbox, clock=engine.clock, session_grace=grace, heartbeat_interval=HEARTBEAT)


async def _pass_time(engine: Engine, sessions: Sessions, duration: int) -> int:
    """Let time pass second by second, as the loop sees it; how many sessions expired."""
    expired = 0
    for _ in range(duration // SECOND):
        engine.clock.jump(1 * SECOND)
        expired += (await sessions.run_once(engine.clock.moment)).done
    return expired


async def test_a_silent_session_ends_when_its_time_is_over(engine: Engine) -> None:
    """Not before; and its stream is told why."""
    stream = Stream()
    sessions = _sessions(engine)
    await _connect(engine, stream)

    assert await _pass_time(engine, sessions, TIMEOUT - 1 * SECOND) == 0
    assert await _pass_time(engine, sessions, 1 * SECOND) == 1

    assert await _pass_time(engine, sessions, 1 * SECOND) == 0
    assert len(stream.closed) == 1
    assert "silent" in stream.closed[0]


@pytest.mark.parametrize(("grace", "interval"), [(5 * SECOND, 1 * SECOND), (200 * MILLISECOND, 50 * MILLISECOND)])
async def test_it_looks_often_enough_to_keep_the_grace_time(engine: Engine, grace: int, interval: int) -> None:
    """A short grace time is kept to within a quarter, a long one to within a second."""
    sessions = _sessions(engine, grace=grace)

    assert await sessions.run_once(engine.clock.moment) == (0, engine.clock.moment + interval)


async def test_a_jump_of_the_clock_is_not_taken_for_silence(engine: Engine) -> None:
    """After time that nobody saw pass each worker may send a heartbeat before it is judged."""
    sessions = _sessions(engine)
    await sessions.run_once(engine.clock.moment)
    stream = Stream()
    alive = await _connect(engine, stream)
    engine.clock.jump(1 * HOUR)

    assert (await sessions.run_once(engine.clock.moment)).done == 0
    await engine.mailbox.submit(Heartbeat(session_id=alive, held=()))

    assert await _pass_time(engine, sessions, TIMEOUT - 1 * SECOND) == 0
    assert not any(stream.closed)


async def test_who_stays_silent_after_a_jump_ends_two_heartbeats_later(engine: Engine) -> None:
    """Patience ends."""
    sessions = _sessions(engine)
    await sessions.run_once(engine.clock.moment)
    await _connect(engine, Stream())
    engine.clock.jump(1 * HOUR)
    await sessions.run_once(engine.clock.moment)

    assert await _pass_time(engine, sessions, 2 * HEARTBEAT - 1 * SECOND) == 0
    assert await _pass_time(engine, sessions, 1 * SECOND) == 1


async def test_a_server_that_is_always_late_still_judges(engine: Engine) -> None:
    """Patience is not prolonged by the next late turn."""
    sessions = _sessions(engine)
    await sessions.run_once(engine.clock.moment)
    await _connect(engine, Stream())
    engine.clock.jump(1 * HOUR)
    expired = []

    for _ in range(2 * HEARTBEAT // (LATE + 2 * SECOND) + 2):
        expired.append((await sessions.run_once(engine.clock.moment)).done)
        engine.clock.jump(LATE + 2 * SECOND)

    assert sum(expired) == 1
