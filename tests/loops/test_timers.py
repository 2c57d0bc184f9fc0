"""When timers are fired, and when the store is asked for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from controlplane.core.limits import HOUR, SECOND
from controlplane.loops.timers import FIRED_MAX, LOOK_INTERVAL, Timers

if TYPE_CHECKING:
    from tests.loops.conftest import Engine


@pytest.fixture
def timers(engine: Engine) -> Iterator[Timers]:
    """A loop that is not started."""
    with ThreadPoolExecutor(1) as readers:
        yield Timers(mailbox=engine.mailbox, store=engine.store, readers=readers, clock=engine.clock)


async def test_the_first_turn_finds_what_is_due_already(engine: Engine, timers: Timers) -> None:
    """What became due while the server was down is fired at the start."""
    await engine.send(delay=5 * SECOND)
    engine.clock.jump(1 * HOUR)

    ran = await timers.run_once(engine.clock.moment)

    assert ran.done == 1
    assert engine.next_due() is None


async def test_it_sleeps_until_the_next_timer_is_due(engine: Engine, timers: Timers) -> None:
    """Nothing is fired before its time, and the next turn is at the earliest due time."""
    await engine.send(delay=7 * SECOND)
    await engine.send(delay=5 * SECOND)

    ran = await timers.run_once(engine.clock.moment)

    assert ran == (0, engine.clock.moment + 5 * SECOND)
    engine.clock.jump(5 * SECOND - 1)
    assert (await timers.run_once(engine.clock.moment)).done == 0
    engine.clock.jump(1)
    assert await timers.run_once(engine.clock.moment) == (1, engine.clock.moment + 2 * SECOND)


async def test_a_hint_makes_it_look_sooner(engine: Engine, timers: Timers) -> None:
    """The commit that stores a timer tells of it, so that the store need not be asked."""
    ran = await timers.run_once(engine.clock.moment)
    assert ran == (0, engine.clock.moment + LOOK_INTERVAL)

    await engine.send(delay=3 * SECOND)
    timers.hint(engine.hints[-1])

    assert (await timers.run_once(engine.clock.moment)).again_at == engine.clock.moment + 3 * SECOND
    engine.clock.jump(3 * SECOND)
    assert (await timers.run_once(engine.clock.moment)).done == 1


async def test_a_lost_hint_costs_no_more_than_the_look_interval(engine: Engine, timers: Timers) -> None:
    """The store is the truth: it is asked from time to time without a reason."""
    again_at = (await timers.run_once(engine.clock.moment)).again_at
    await engine.send(delay=1 * SECOND)

    engine.clock.jump(again_at - engine.clock.moment)

    assert (await timers.run_once(engine.clock.moment)).done == 1


async def test_more_than_fit_one_transaction_are_all_fired(engine: Engine, timers: Timers) -> None:
    """One turn fires everything that is due, a bounded batch a transaction."""
    await engine.send(delay=1 * SECOND, count=FIRED_MAX + 5)
    engine.clock.jump(1 * SECOND)

    ran = await timers.run_once(engine.clock.moment)

    assert ran.done == FIRED_MAX + 5
    assert engine.next_due() is None


async def test_a_hint_that_comes_while_the_store_is_asked_counts(engine: Engine, timers: Timers) -> None:
    """A timer stored just after the store was asked is not forgotten."""
    due_at = engine.clock.moment + 2 * SECOND

    asked = engine.store.read

    def read_then_hint() -> object:
        timers.hint(due_at)
        return asked()

    engine.store.read = read_then_hint  # type: ignore[method-assign, assignment]

    assert (await timers.run_once(engine.clock.moment)).again_at == due_at


async def test_a_clock_set_back_fires_nothing_again(engine: Engine, timers: Timers) -> None:
    """What was fired stays fired, and what is not due yet waits for the clock."""
    await engine.send(delay=1 * SECOND)
    await engine.send(delay=10 * SECOND)
    engine.clock.jump(1 * SECOND)
    assert (await timers.run_once(engine.clock.moment)).done == 1

    engine.clock.jump(-1 * HOUR)
    ran = await timers.run_once(engine.clock.moment)

    assert ran.done == 0
    assert ran.again_at > engine.clock.moment
