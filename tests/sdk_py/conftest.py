"""A client of a scripted server, and its worker in a thread; or a client of a real one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from steplane import Steplane, TriggerEvent
from steplane.worker.worker import Worker
from tests.sdk_py.peer import SECONDS_MAX, Peer

if TYPE_CHECKING:
    from tests.sdk_py.house import House


class Running:
    """A worker that runs in a thread of its own."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell it to drain."""
        self.worker.stop()

    def join(self) -> None:
        """Wait for its end, and raise what it ended with."""
        self._thread.join(SECONDS_MAX)
        assert not self._thread.is_alive(), "the worker does not end"
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            asyncio.run(self.worker.run_async())
        except BaseException as error:  # noqa: BLE001 it is raised where the test waits
            self.error = error


class Clock:
    """The monotonic clock of a process that can be frozen: it goes on meanwhile."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        """What the time is."""
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the worker reads."""
    clock = Clock()
    monkeypatch.setattr("steplane.worker.stream.time", clock)
    monkeypatch.setattr("steplane.worker.outbox.time", clock)
    return clock


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A scripted server."""
    peer = Peer()
    yield peer
    peer.stop()


@pytest.fixture
def client(peer: Peer) -> Iterator[Steplane]:
    """A client of it."""
    client = Steplane(app_id="app", address=peer.address)
    yield client
    client.close()


@pytest.fixture
def start(client: Steplane, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Starts a worker, with one function if a handler is given. Reconnects come at once; its end cuts all that is left."""
    monkeypatch.setattr("steplane.worker.session._DELAY_FIRST", 0.01)
    running: list[Running] = []

    def start(handler: Callable[..., Any] | None = None, **options: Any) -> Running:
        if handler is not None:
            client.create_function(fn_id="f", trigger=TriggerEvent(event="app/a"))(handler)
        options.setdefault("drain_timeout", timedelta())
        running.append(Running(client.worker(**options)))
        return running[-1]

    yield start
    peer.stop()
    for each in running:
        each.stop()
        each.join()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A client of a real server."""
    from tests.sdk_py.house import serving

    async with serving(tmp_path) as house:
        yield house
