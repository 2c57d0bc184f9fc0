"""A real server, and a client that knows what became of its runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from controlplane.app import running
from controlplane.config import Address, Config
from controlplane.gen.steplane.v1 import run_pb2, run_pb2_grpc
from steplane import Event, Retry, Steplane, TriggerEvent

FAST: Final = Retry(attempts=5, first_delay=10, factor=1)
"""Retries that a test can wait for."""


class House:
    """A client, and what its server knows."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = Steplane(app_id="shop", address=address)
        self._channel = grpc.aio.insecure_channel(address)
        self._runs = run_pb2_grpc.RunServiceStub(self._channel)

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[None]:
        """A worker of all functions, as long as the block."""
        worker = self.client.worker(**options)
        task = asyncio.create_task(worker.run_async())
        await worker.connected()
        try:
            yield
        finally:
            worker.stop()
            await task

    async def runs_of(self, event_id: str, *, function_id: str = "") -> list[run_pb2.Run]:
        """The runs that an event started, as they are now; one at least."""
        request = run_pb2.ListRunsRequest(event_id=event_id, function_id=function_id)
        while True:
            runs = list((await self._runs.ListRuns(request)).runs)
            if runs:
                return runs

    async def run_of(self, event_id: str, *, function_id: str = "") -> run_pb2.Run:
        """The run that an event started, once it has ended."""
        (last,) = await self.runs_of(event_id, function_id=function_id)
        async for response in self._runs.WatchRun(run_pb2.WatchRunRequest(run_id=last.id)):
            last = response.run
        return last

    async def parked(self, event_id: str, *, function_id: str = "") -> run_pb2.Run:
        """The run that an event started, once it waits for something."""
        (run,) = await self.runs_of(event_id, function_id=function_id)
        watching = self._runs.WatchRun(run_pb2.WatchRunRequest(run_id=run.id))
        async for response in watching:
            if response.run.state == run_pb2.RUN_STATE_WAITING:
                watching.cancel()
                return response.run
        raise AssertionError(f"run {run.id} has ended without waiting for anything")

    async def cancel(self, run_id: str) -> None:
        """Cancel a run."""
        await self._runs.CancelRun(run_pb2.CancelRunRequest(run_id=run_id, reason="a test"))

    async def journal(self, run_id: str) -> dict[str, run_pb2.JournalEntry]:
        """The recorded steps of a run."""
        entries = (await self._runs.ListJournal(run_pb2.ListJournalRequest(run_id=run_id))).entries
        return {entry.step_key: entry for entry in entries}

    async def lineage(self, event_id: str) -> run_pb2.GetLineageResponse:
        """All that came of an event."""
        return await self._runs.GetLineage(run_pb2.GetLineageRequest(event_id=event_id))

    async def send(self, name: str, **data: Any) -> str:
        """Send one event."""
        (id_,) = await self.client.send(Event(name=name, data=data))
        return id_

    async def close(self) -> None:
        """Close what is open."""
        self.client.close()
        await self._channel.close()


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[House]:
    """A server on a file, and a client of it."""
    config = Config(db=directory / "steplane.db", listen=Address("127.0.0.1", 0), synchronous="normal")
    async with running(config) as app:
        house = House(str(app.address))
        yield house
        await house.close()


def on(name: str) -> TriggerEvent:
    """A trigger."""
    return TriggerEvent(event=name)
