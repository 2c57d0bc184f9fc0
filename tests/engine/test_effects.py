"""What is seen of a commit, and of nothing else."""

from __future__ import annotations

import asyncio

from controlplane.core.limits import Limits
from controlplane.engine.commands import ExpireSessions
from controlplane.engine.effects import Committed, release
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.errors import NotFound


async def test_answers_go_to_who_asked() -> None:
    """A refusal is raised, nobody need be waiting, and who gave up is left alone."""
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop, Limits())
    answered, refused, given_up = (mailbox.submit(ExpireSessions()) for _ in range(3))
    given_up.cancel()
    await mailbox.post(ExpireSessions())
    queued = mailbox.take(10)
    answers = [1, NotFound(kind="run", name="r1"), 3, 4]
    release(Committed(queued, answers, [], [], None), mailbox, RunHub(), lambda _: None)

    assert await answered == 1
    assert isinstance(refused.exception(), NotFound)
    assert given_up.cancelled()


async def test_watchers_and_timers_are_told() -> None:
    """Who watches a run hears that it changed, and the loop of the timers hears of the earliest one."""
    hub = RunHub()
    due: list[int] = []
    mailbox = Mailbox(asyncio.get_running_loop(), Limits())
    with hub.watch("r1") as first, hub.watch("r1") as second, hub.watch("r2") as other:
        release(Committed([], [], [], ["r1", "r3"], 7), mailbox, hub, due.append)
        told = [event.is_set() for event in (first, second, other)]

    assert told == [True, True, False]
    assert due == [7]
    assert not hub.is_watched


async def test_a_hub_that_closes_wakes_everybody() -> None:
    """Whatever they watch, so that they can give up."""
    hub = RunHub()
    with hub.watch("r1") as first, hub.watch("r2") as second:
        hub.close()

        assert first.is_set()
        assert second.is_set()
    assert hub.is_closed
