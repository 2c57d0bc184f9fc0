"""The server's half of a worker's stream: what the engine delivers, written in as few frames as possible.

While a frame is on its way, deliveries are gathered, and go out together. What a worker does not take is kept within bounds
of time and size; beyond them its stream is broken off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from typing_extensions import override

from controlplane.core.limits import FRAME_TAKEN_TIMEOUT, HELLO_TIMEOUT, MIB, OUTBOX_BYTES_MAX, SECOND
from controlplane.engine.outbox import CLOSED_SILENT, Delivery, Outbox
from controlplane.errors import NotReading, SteplaneError, Superseded, TimedOut
from controlplane.rpc.frames import Frame, drain_frame, frames_of, weight_of


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long the server waits for a worker, and how much it keeps for it. Durations in microseconds."""

    hello_timeout: int = HELLO_TIMEOUT
    """For its hello."""
    frame_taken_timeout: int = FRAME_TAKEN_TIMEOUT
    """For it to take a frame."""
    outbox_bytes_max: int = OUTBOX_BYTES_MAX
    """Of what waits to be taken."""


class StreamOutbox(Outbox):
    """Takes the deliveries of one session, and writes them."""

    def __init__(self, write: Callable[[Frame], Awaitable[None]], *, frame_bytes_max: int, patience: Patience) -> None:
        self._write = write
        self._frame_bytes_max = frame_bytes_max
        self._patience = patience
        self._gathered: list[Delivery] = []
        self._weight = 0
        self._wake = asyncio.Event()
        self._is_drain_asked = False
        self._server_drain = ""
        self._is_ended = False
        #: Done, with the reason, once the stream has to be broken off, whatever is being written.
        self.broken: asyncio.Future[SteplaneError] = asyncio.get_running_loop().create_future()

    @override
    def deliver(self, delivery: Delivery) -> None:
        if self.broken.done():
            return
        if not self._is_drain_asked:
            delivery.drained = None
        weight = weight_of(delivery)
        if self._weight and self._weight + weight > self._patience.outbox_bytes_max:
            self.break_off(NotReading(f"the worker left {self._weight // MIB} MiB of frames untaken"))
            return
        self._gathered.append(delivery)
        self._weight += weight
        self._wake.set()

    def tell_drained(self) -> None:
        """The worker asked to drain: it is to be told how many invocations it got."""
        self._is_drain_asked = True

    def tell_server_drain(self, reason: str) -> None:
        """Tell the worker that the server is going away."""
        self._server_drain = reason
        self._wake.set()

    def end(self) -> None:
        """Let `run` return once everything is written."""
        self._is_ended = True
        self._wake.set()

    def break_off(self, reason: SteplaneError) -> None:
        """Give up what is not written yet."""
        if not self.broken.done():
            self.broken.set_result(reason)
        self._gathered.clear()

    async def run(self) -> None:
        """Write until the end; raises why the engine closed the session, if it did."""
        while not self._is_ended or self._gathered:
            await self._wake.wait()
            self._wake.clear()
            gathered, self._gathered = self._gathered, []
            weight = self._weight
            for frame in frames_of(gathered, self._frame_bytes_max):
                await self.send(frame)
            self._weight -= weight
            if gathered and gathered[-1].closed:
                raise closed_error(gathered[-1].closed)
            if self._server_drain:
                await self.send(drain_frame(self._server_drain))
                self._server_drain = ""

    async def send(self, frame: Frame) -> None:
        """Write one frame; raises `NotReading` if the worker does not take it in time."""
        try:
            async with asyncio.timeout(self._patience.frame_taken_timeout / SECOND):
                await self._write(frame)
        except TimeoutError:
            raise NotReading("the worker does not read its stream") from None


def closed_error(reason: str) -> SteplaneError:
    """What a worker is told whose session the engine closed."""
    return TimedOut(reason) if reason == CLOSED_SILENT else Superseded(reason)
