"""When silent sessions are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controlplane.core.limits import MILLISECOND, SECOND
from controlplane.engine.commands import Connect, Welcomed
from controlplane.engine.settings import Settings
from controlplane.loops.sessions import Sessions

if TYPE_CHECKING:
    from controlplane.engine.outbox import Delivery
    from tests.loops.conftest import Engine, FakeClock


class Stream:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def deliver(self, delivery: Delivery) -> None:
        """Take one delivery."""
        self.closed.append(delivery.closed)


async def test_a_silent_session_ends_when_its_time_is_over(engine: Engine) -> None:
    """Not before; and its stream is told why."""
    timeout = Settings().session_timeout
    stream = Stream()
    sessions = Sessions(mailbox=engine.mailbox, clock=engine.clock, session_grace=5 * SECOND)
    welcomed = await engine.mailbox.submit(
        Connect(
            namespace="default",
            app_id="app",
            function_ids=(),
            instance_id="i1",
            sdk="",
            language="",
            held=(),
            outbox=stream,
        )
    )
    assert isinstance(welcomed, Welcomed)

    engine.clock.jump(timeout - 1)
    assert (await sessions.run_once(engine.clock.moment)).done == 0
    engine.clock.jump(1)
    assert (await sessions.run_once(engine.clock.moment)).done == 1

    assert (await sessions.run_once(engine.clock.moment)).done == 0
    assert stream.closed == ["the session was silent for too long"]


@pytest.mark.parametrize(("grace", "interval"), [(5 * SECOND, 1 * SECOND), (200 * MILLISECOND, 50 * MILLISECOND)])
async def test_it_looks_often_enough_to_keep_the_grace_time(
    engine: Engine, clock: FakeClock, grace: int, interval: int
) -> None:
    """A short grace time is kept to within a quarter, a long one to within a second."""
    sessions = Sessions(mailbox=engine.mailbox, clock=clock, session_grace=grace)

    assert await sessions.run_once(clock.moment) == (0, clock.moment + interval)
