"""The engine on a store in memory, and a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from controlplane.core.limits import HOUR, SECOND, Limits
from controlplane.core.records import NewEvent
from controlplane.engine.commands import SendEvents, SentEvents
from controlplane.engine.committer import Committer
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.engine.settings import Settings
from controlplane.store.interface import Store
from controlplane.store.sqlite.open import SqliteStore

START = 1_700_000_000 * SECOND


class FakeClock:
    """Goes when it is told to; whoever waits for it sees it go."""

    def __init__(self) -> None:
        self.moment = START
        self.waits: asyncio.Queue[int] = asyncio.Queue()
        """How long each wait was to be."""
        self._moved = asyncio.Event()

    def now(self) -> int:
        """This moment."""
        return self.moment

    async def wait(self, woken: asyncio.Event, duration: int) -> None:
        """Return when woken, or with the next jump."""
        self.waits.put_nowait(duration)
        waiting = [asyncio.create_task(event.wait()) for event in (woken, self._moved)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def jump(self, duration: int) -> None:
        """Set the clock forward, or back, and let who waits look at it."""
        self.moment += duration
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


@dataclass
class Engine:
    """The engine's door, and what a test looks at."""

    clock: FakeClock
    store: Store
    mailbox: Mailbox
    hints: list[int] = field(default_factory=list)

    async def send(self, *, delay: int, count: int = 1) -> list[str]:
        """Send events; each delayed one sets a timer."""
        ts = self.clock.moment + delay
        events = tuple(NewEvent("", "app/thing.done", b"{}", "", ts, "", "") for _ in range(count))
        sent: SentEvents = await self.mailbox.submit(SendEvents(namespace="default", events=events, size=0))
        return sent.ids

    def next_due(self) -> int | None:
        """When the earliest timer is due."""
        with self.store.read() as reader:
            return reader.next_due()

    def event_ids(self) -> set[str]:
        """The ids of all stored events."""
        with self.store.read() as reader:
            rows = reader.list_events("default", name="", id_="", before_key=0, limit=10_000, bytes_max=10**9)
        return {row.id for row in rows}


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands."""
    return FakeClock()


@pytest.fixture
async def engine(clock: FakeClock) -> AsyncIterator[Engine]:
    """A running engine."""
    loop = asyncio.get_running_loop()
    store = SqliteStore.open(":memory:")
    engine = Engine(clock, store, Mailbox(loop, Limits()))
    committer = Committer(
        store=store,
        mailbox=engine.mailbox,
        settings=Settings(dedupe_window=1 * HOUR),
        clock=clock.now,
        rng=random.Random(1),
        loop=loop,
        hub=RunHub(),
        on_timer=engine.hints.append,
    )
    committer.start()
    yield engine
    engine.mailbox.close()
    await committer.stop()
    store.close()
