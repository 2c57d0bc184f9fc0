"""When a watched run is read and sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from controlplane.core.states import RunState
from controlplane.engine.hub import RunHub
from controlplane.errors import NotFound, Stopping
from controlplane.rpc.watch import watch_run
from controlplane.store.interface import RunView
from tests.store import rows


class Shelf:
    """One run, as the store would have it, and how often it was read."""

    def __init__(self) -> None:
        self.view = RunView(rows.run("R1"), "shop", "checkout", "event-1", "shop/order.created")
        self.reads = 0
        self.missing = False

    async def read(self) -> RunView:
        """Read it."""
        self.reads += 1
        if self.missing:
            raise NotFound(kind="run", name="R1")
        return self.view

    def put(self, state: RunState) -> None:
        """Store it in another state."""
        self.view = self.view._replace(run=self.view.run._replace(state=state))


@pytest.fixture
def hub() -> RunHub:
    """A hub that nobody watches yet."""
    return RunHub()


@pytest.fixture
def shelf() -> Shelf:
    """A queued run."""
    return Shelf()


def watching(hub: RunHub, shelf: Shelf) -> AsyncGenerator[RunView, None]:
    """A watch over the run."""
    return watch_run(hub, "R1", shelf.read)


async def settle() -> None:
    """Let everything go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_watch_begins_with_the_run_as_it_is(hub: RunHub, shelf: Shelf) -> None:
    """The first answer comes without any change."""
    views = watching(hub, shelf)
    assert (await anext(views)).run.state is RunState.QUEUED
    await views.aclose()


async def test_a_change_is_sent(hub: RunHub, shelf: Shelf) -> None:
    """A commit that changed the run brings its next answer."""
    views = watching(hub, shelf)
    await anext(views)
    shelf.put(RunState.RUNNING)
    hub.notify(["R1"])
    assert (await anext(views)).run.state is RunState.RUNNING
    await views.aclose()


async def test_a_watch_reads_only_when_told(hub: RunHub, shelf: Shelf) -> None:
    """No news, no read; news of other runs are none."""
    views = watching(hub, shelf)
    await anext(views)
    waiting = asyncio.ensure_future(anext(views))
    hub.notify(["R2"])
    await settle()
    assert shelf.reads == 1
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_news_without_a_change_are_not_sent(hub: RunHub, shelf: Shelf) -> None:
    """A commit that left what is shown as it was brings no answer."""
    views = watching(hub, shelf)
    await anext(views)
    waiting = asyncio.ensure_future(anext(views))
    hub.notify(["R1"])
    await settle()
    assert shelf.reads == 2
    assert not waiting.done()
    shelf.put(RunState.RUNNING)
    hub.notify(["R1"])
    assert (await waiting).run.state is RunState.RUNNING
    await views.aclose()


async def test_a_change_while_reading_is_not_missed(hub: RunHub, shelf: Shelf) -> None:
    """What a commit changes after the read began is seen by the next one."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow_read() -> RunView:
        view = shelf.view
        begun.set()
        await go_on.wait()
        return view

    views = watch_run(hub, "R1", slow_read)
    first = asyncio.ensure_future(anext(views))
    await begun.wait()
    shelf.put(RunState.COMPLETED)
    hub.notify(["R1"])
    go_on.set()
    assert (await first).run.state is RunState.QUEUED
    assert (await anext(views)).run.state is RunState.COMPLETED


@pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED])
async def test_a_watch_ends_with_its_run(hub: RunHub, shelf: Shelf, state: RunState) -> None:
    """The last answer is the run as it ended; the hub forgets the watcher."""
    shelf.put(state)
    assert [view.run.state async for view in watching(hub, shelf)] == [state]
    assert not hub.is_watched


async def test_a_watch_of_a_missing_run_fails(hub: RunHub, shelf: Shelf) -> None:
    """NOT_FOUND, and the hub forgets the watcher."""
    shelf.missing = True
    with pytest.raises(NotFound):
        await anext(watching(hub, shelf))
    assert not hub.is_watched


async def test_a_watch_that_is_cancelled_leaves_nothing(hub: RunHub, shelf: Shelf) -> None:
    """A client that goes away is forgotten."""
    views = watching(hub, shelf)
    await anext(views)
    waiting = asyncio.ensure_future(anext(views))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert not hub.is_watched


async def test_a_watch_ends_when_the_server_stops(hub: RunHub, shelf: Shelf) -> None:
    """A stopping server does not wait for runs to end: watchers are told to look elsewhere, before and after."""
    views = watching(hub, shelf)
    await anext(views)
    hub.close()
    with pytest.raises(Stopping):
        await anext(views)
    late = watching(hub, shelf)
    assert (await anext(late)).run.state is RunState.QUEUED
    with pytest.raises(Stopping):
        await anext(late)
    assert not hub.is_watched
