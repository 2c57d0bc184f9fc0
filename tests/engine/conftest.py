"""A committer with its own thread, on a real file, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.definition import Definition, EventTrigger
from controlplane.core.limits import SECOND, Limits
from controlplane.core.records import NewEvent
from controlplane.core.retry import DEFAULT
from controlplane.engine.commands import Connect, GrantCredit, RegisterFunction, SendEvents
from controlplane.engine.committer import Committer
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.engine.outbox import Delivery
from controlplane.engine.settings import Settings
from controlplane.store.interface import Store
from controlplane.store.sqlite.open import SqliteStore

NOON = 1_800_000_000 * SECOND


class Inbox:
    """A worker's end of a session: keeps what is delivered."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.came = asyncio.Event()

    def deliver(self, delivery: Delivery) -> None:
        """Keep it."""
        self.deliveries.append(delivery)
        self.came.set()

    async def next(self) -> Delivery:
        """The next delivery."""
        while not self.deliveries:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 10)
        return self.deliveries.pop(0)


class Engine:
    """The committer and its mailbox."""

    def __init__(self, store: Store, mailbox: Mailbox, committer: Committer) -> None:
        self.store = store
        self.mailbox = mailbox
        self.committer = committer

    async def ask(self, command: Any) -> Any:
        """The answer to a command."""
        return await asyncio.wait_for(self.mailbox.submit(command), 10)

    async def register(self, function_id: str = "f", event: str = "app/x") -> None:
        """Register a function."""
        definition = Definition("app", function_id, function_id, (EventTrigger(event),), DEFAULT)
        await self.ask(RegisterFunction(namespace="default", definition=definition))

    async def connect(self, slots: int = 10) -> tuple[str, Inbox]:
        """A worker with free slots."""
        inbox = Inbox()
        connect = Connect(
            namespace="default",
            app_id="app",
            function_ids=("f",),
            instance_id="i",
            sdk="",
            language="",
            held=(),
            outbox=inbox,
        )
        welcomed = await self.ask(connect)
        await self.ask(GrantCredit(session_id=welcomed.session_id, invocation_limit=slots))
        return welcomed.session_id, inbox


def events(*ids: str, size: int = 1) -> SendEvents:
    """A command that sends events."""
    new = tuple(NewEvent(id_, "app/x", b"{}", "", None, "", "") for id_ in ids)
    return SendEvents(namespace="default", events=new, size=size)


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts an engine on the test's file."""

    @asynccontextmanager
    async def engine(*, limits: Limits | None = None, **options: Any) -> AsyncIterator[Engine]:
        loop = asyncio.get_running_loop()
        store = options.pop("store", None) or SqliteStore.open(tmp_path / "steplane.db")
        settings = Settings(limits=limits or Limits())
        mailbox = Mailbox(loop, settings.limits)
        committer = Committer(
            store=store,
            mailbox=mailbox,
            settings=settings,
            clock=lambda: NOON,
            rng=random.Random(7),
            loop=loop,
            hub=RunHub(),
            **options,
        )
        committer.start()
        try:
            yield Engine(store, mailbox, committer)
        finally:
            mailbox.close()
            await committer.stop()
            committer.stopped.exception()
            store.close()

    return engine
