"""The one shape of every loop: its turns, its naps, its failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from typing_extensions import override

from controlplane.core.limits import MINUTE, SECOND
from controlplane.loops.loop import Loop, Ran

if TYPE_CHECKING:
    from tests.loops.conftest import FakeClock


class Counting(Loop):
    """Tells of each turn, and wants the next one in ten minutes."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.turns: asyncio.Queue[int] = asyncio.Queue()
        self.failure: Exception | None = None

    @override
    async def run_once(self, now: int) -> Ran:
        self.turns.put_nowait(now)
        if self.failure is not None:
            raise self.failure
        return Ran(1, now + 10 * MINUTE)


async def test_it_starts_with_a_turn_and_stops_for_good(clock: FakeClock) -> None:
    """The first turn comes at once; after `stop` there is none."""
    loop = Counting(clock)

    loop.start()
    assert await loop.turns.get() == clock.moment
    await loop.stop()
    loop.wake()
    clock.jump(10 * MINUTE)
    await asyncio.sleep(0)

    assert loop.turns.empty()


async def test_a_clock_set_forward_is_noticed_within_a_second(clock: FakeClock) -> None:
    """No nap is longer than a second, however far away the next turn is."""
    loop = Counting(clock)
    loop.start()
    await loop.turns.get()

    assert await clock.waits.get() == 1 * SECOND
    clock.jump(1 * SECOND)
    assert await clock.waits.get() == 1 * SECOND
    assert loop.turns.empty()
    clock.jump(60 * MINUTE)

    assert await loop.turns.get() == clock.moment
    await loop.stop()


async def test_the_last_nap_ends_at_the_moment(clock: FakeClock) -> None:
    """It is no longer than what is left."""
    loop = Counting(clock)
    loop.start()
    await clock.waits.get()
    clock.jump(10 * MINUTE - 3)

    assert await clock.waits.get() == 3
    await loop.stop()


async def test_waking_it_brings_the_next_turn_now(clock: FakeClock) -> None:
    """Also if it is woken during a turn."""
    loop = Counting(clock)
    loop.start()
    await loop.turns.get()
    await clock.waits.get()

    loop.wake()

    assert await loop.turns.get() == clock.moment
    await loop.stop()


async def test_a_failed_turn_is_logged_and_tried_again(clock: FakeClock) -> None:
    """One failure does not end what time has to do."""
    loop = Counting(clock)
    loop.failure = RuntimeError("broken")
    with structlog.testing.capture_logs() as lines:
        loop.start()
        await loop.turns.get()
        await clock.waits.get()
        loop.failure = None
        clock.jump(1 * SECOND)
        await loop.turns.get()

    assert [(line["event"], line["loop"]) for line in lines] == [("loop_failed", "Counting")]
    await loop.stop()
