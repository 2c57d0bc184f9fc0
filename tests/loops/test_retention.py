"""What retention deletes, and how it spares everybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controlplane.core.limits import HOUR
from controlplane.engine.commands import FireTimers
from controlplane.loops.retention import BATCH_MAX, PAUSE_MIN, SWEEP_INTERVAL, Retention

if TYPE_CHECKING:
    from tests.loops.conftest import Engine


@pytest.fixture
def retention(engine: Engine) -> Retention:
    """A loop that is not started."""
    return Retention(mailbox=engine.mailbox, clock=engine.clock, retention=2 * HOUR)


async def test_what_is_older_than_retention_is_deleted(engine: Engine, retention: Retention) -> None:
    """Old events go, young ones stay, and then it rests."""
    await engine.send(delay=0)
    engine.clock.jump(2 * HOUR)
    young = await engine.send(delay=0)
    engine.clock.jump(1)

    ran = await retention.run_once(engine.clock.moment)

    assert ran == (1, engine.clock.moment + SWEEP_INTERVAL)
    assert engine.event_ids() == set(young)


async def test_a_batch_is_bounded_and_a_pause_follows(engine: Engine, retention: Retention) -> None:
    """More than a batch takes several turns, with pauses between them, until the end is reached."""
    await engine.send(delay=0, count=2 * BATCH_MAX + 1)
    engine.clock.jump(3 * HOUR)

    assert await retention.run_once(engine.clock.moment) == (BATCH_MAX, engine.clock.moment + PAUSE_MIN)
    assert await retention.run_once(engine.clock.moment) == (BATCH_MAX, engine.clock.moment + PAUSE_MIN)
    assert await retention.run_once(engine.clock.moment) == (1, engine.clock.moment + SWEEP_INTERVAL)
    assert engine.event_ids() == set()


async def test_the_next_sweep_starts_from_the_oldest_again(engine: Engine, retention: Retention) -> None:
    """What had to stay in one sweep is looked at in the next."""
    (delayed,) = await engine.send(delay=3 * HOUR)
    engine.clock.jump(2 * HOUR + 1)
    assert (await retention.run_once(engine.clock.moment)).done == 0
    assert engine.event_ids() == {delayed}

    engine.clock.jump(1 * HOUR)
    await engine.mailbox.submit_internal(FireTimers(limit=10))
    ran = await retention.run_once(engine.clock.moment)

    assert ran.done == 1
    assert engine.event_ids() == set()
