"""All that is to be told to the server, and all that it has not confirmed: the one place that threads share.

The law: a report stays here until its ack comes, and is sent again on every new stream; a lease stays here, and so in
every heartbeat, from the moment it is read from the stream until its outcome is acknowledged or it is taken away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from steplane.gen.steplane.v1 import work_pb2
from steplane.replay.journal import AckStatus, Entry, StepState
from steplane.worker import frames
from steplane.worker.slots import Slots

Lease: TypeAlias = tuple[str, int]
"""Run id and epoch."""

FRAME_BYTES_DEFAULT: Final = 4 * 1024 * 1024
_SUCCESS: Final = frozenset({AckStatus.COMMITTED, AckStatus.DUPLICATE})
_LOST: Final = frozenset({AckStatus.STALE_EPOCH, AckStatus.RUN_ENDED})


class OutgoingReport(NamedTuple):
    """A report, and what its ack will name."""

    lease: Lease
    step_key: str
    data: bytes


class IncomingAck(NamedTuple):
    """The answer to a report."""

    lease: Lease
    step_key: str
    status: int
    message: str
    entry: Entry | None


class OutgoingStream:
    """One stream's frames to the server, as gRPC's writer asks for them."""

    def __init__(self, outbox: Outbox, hello: bytes, offered: Sequence[Lease]) -> None:
        self.outbox = outbox
        self.hello = hello
        self.offered = offered
        """The leases that the hello asks to keep."""
        self.frame_bytes_max = FRAME_BYTES_DEFAULT
        self.is_welcome = False
        self.is_credited = True
        self.is_ending = False
        self.is_closed = False
        self.is_drain_due = False

    def __iter__(self) -> Iterator[bytes]:
        """Block for the next frame; the end comes when the stream is closed."""
        yield self.hello
        while (batch := self.outbox.take(self)) is not None:
            yield from batch.frames(self.frame_bytes_max)


class Batch(NamedTuple):
    """What is to be sent now."""

    held: list[Lease] | None
    """All leases, if a heartbeat is due."""
    released: list[Lease]
    is_drain: bool
    reports: list[bytes]
    credit: int | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return not (self.reports or self.released or self.is_drain) and self.held is None and self.credit is None

    def frames(self, bytes_max: int) -> Iterator[bytes]:
        """As few frames as carry it."""
        if self.held is not None:
            yield frames.heartbeat(self.held)
        if self.is_drain:
            yield frames.drain()
        yield from frames.reports(self.reports, bytes_max=bytes_max)
        if self.released:
            # After the reports, which would count no more.
            yield frames.release(self.released)
        if self.credit is not None:
            yield frames.credit(self.credit)


class Outbox:
    """What waits to be sent, and what waits to be acknowledged. Safe for threads."""

    def __init__(self, slots: int) -> None:
        # Can be taken twice by a thread: a signal that stops the worker may come while the main thread has it.
        self._changed = threading.Condition(threading.RLock())
        self._slots = Slots(slots)
        self._held: dict[Lease, dict[str, bytes]] = {}
        self._unsent: list[bytes] = []
        self._released: list[Lease] = []
        self._is_beat_due = False
        self._is_draining = False
        self._sure_until = 0.0

    # What the user's side says.

    def put(self, reports: Sequence[OutgoingReport], *, slots_freed: int = 0) -> None:
        """Reports to send and to keep. Those of leases that were taken away meanwhile are dropped."""
        with self._changed:
            for lease, step_key, data in reports:
                unacked = self._held.get(lease)
                if unacked is not None:
                    unacked[step_key] = data
                    self._unsent.append(data)
            self._slots.busy -= slots_freed
            self._changed.notify_all()

    def forget(self, lease: Lease) -> None:
        """A lease was taken away. What was not sent of it is not sent any more."""
        with self._changed:
            unacked = self._held.pop(lease, None)
            if unacked and self._unsent:
                dropped = set(unacked.values())
                self._unsent = [data for data in self._unsent if data not in dropped]

    def release(self, leases: Iterable[Lease], *, slots_freed: int = 0) -> None:
        """Hand leases back; they are held no longer."""
        with self._changed:
            self._released += [lease for lease in leases if self._held.pop(lease, None) is not None]
            self._slots.busy -= slots_freed
            self._changed.notify_all()

    @property
    def held(self) -> list[Lease]:
        """Every lease that the server counts, or may count, as this worker's."""
        with self._changed:
            return list(self._held)

    def is_sure(self, lease: Lease) -> bool:
        """Whether the run was surely given to nobody else: it is held, a stream is open, and its beats are young."""
        # In this order, and without the lock: a welcome takes away what is lost before it says that the rest is sure.
        return time.monotonic() < self._sure_until and lease in self._held

    @property
    def is_drained(self) -> bool:
        """Whether it drains, and nothing is held any more."""
        return self._is_draining and not self._held

    # What the stream's threads say.

    def open(self, hello: bytes, offered: Sequence[Lease]) -> OutgoingStream:
        """Begin a stream: its frames are the hello, and nothing more until it is welcome."""
        with self._changed:
            self._slots.reset()
            self._is_beat_due = False
            self._released.clear()
            return OutgoingStream(self, hello, offered)

    def welcome(
        self, stream: OutgoingStream, *, resumed: Iterable[Lease], frame_bytes_max: int, sure_until: float
    ) -> list[Lease]:
        """The server's answer to a hello. All that is not acknowledged is sent again; the result are leases that are lost."""
        with self._changed:
            kept = set(resumed)
            lost = [lease for lease in stream.offered if lease not in kept and lease in self._held]
            for lease in lost:
                del self._held[lease]
            self._unsent = [report for unacked in self._held.values() for report in unacked.values()]
            stream.frame_bytes_max = frame_bytes_max or FRAME_BYTES_DEFAULT
            stream.is_welcome = True
            self._sure_until = sure_until
            stream.is_drain_due = self._is_draining
            self._changed.notify_all()
            return lost

    def received(self, leases: Iterable[Lease]) -> None:
        """Invocations came. Each occupies a slot, unless it is one that is held already."""
        with self._changed:
            for lease in leases:
                self._slots.received()
                if lease not in self._held:
                    self._held[lease] = {}
                    self._slots.busy += 1

    def acked(self, acks: Iterable[IncomingAck]) -> list[IncomingAck]:
        """Acks came. The result are those that the user's side has to see: not those of an outcome that is on disk, and
        not those of reports that were answered before.
        """
        open_acks = []
        with self._changed:
            for ack in acks:
                unacked = self._held.get(ack.lease)
                if unacked is not None and ack.status not in _LOST:
                    report = unacked.get(ack.step_key)
                    if report is None or _is_of_earlier_try(ack, report):
                        continue
                    del unacked[ack.step_key]
                if ack.step_key or ack.status not in _SUCCESS:
                    open_acks.append(ack)
                else:
                    self._held.pop(ack.lease, None)
        return open_acks

    def beat(self, *, sure_until: float) -> None:
        """It is time for a heartbeat, which keeps what is held until then at least (on the monotonic clock)."""
        with self._changed:
            self._is_beat_due = True
            self._sure_until = sure_until
            self._changed.notify_all()

    def drain(self, stream: OutgoingStream | None) -> None:
        """Ask for no more invocations, on this stream and all that follow."""
        with self._changed:
            if stream is not None and not self._is_draining:
                stream.is_drain_due = True
            self._is_draining = True
            self._changed.notify_all()

    def stop_credit(self, stream: OutgoingStream) -> None:
        """Grant no more on this stream: the server is going away."""
        with self._changed:
            stream.is_credited = False

    def end(self, stream: OutgoingStream) -> None:
        """Send what is there, then end the stream from this side."""
        with self._changed:
            stream.is_ending = True
            self._changed.notify_all()

    def close(self, stream: OutgoingStream) -> None:
        """The stream is gone."""
        with self._changed:
            stream.is_closed = True
            self._sure_until = 0.0
            self._changed.notify_all()

    def take(self, stream: OutgoingStream) -> Batch | None:
        """Block for what a stream is to send next; `None` when it is closed."""
        with self._changed:
            while not stream.is_closed:
                if stream.is_welcome:
                    batch = self._take(stream)
                    if not batch.is_empty:
                        return batch
                    if stream.is_ending:
                        return None
                self._changed.wait()
            return None

    def _take(self, stream: OutgoingStream) -> Batch:
        can_credit = stream.is_credited and not stream.is_ending and not self._is_draining
        batch = Batch(
            list(self._held) if self._is_beat_due else None,
            self._released,
            stream.is_drain_due,
            self._unsent,
            self._slots.credit() if can_credit else None,
        )
        self._is_beat_due = stream.is_drain_due = False
        # Always new lists: the batch is turned into frames later, while these are filled again.
        self._released = []
        self._unsent = []
        return batch


def _is_of_earlier_try(ack: IncomingAck, report: bytes) -> bool:
    """Whether an ack came late: it tells of fewer tries than the report that waits for its own."""
    entry = ack.entry
    if entry is None or entry.state != StepState.RETRYING:
        return False
    waiting = work_pb2.Report.FromString(report)
    return entry.attempts < max(waiting.step_failed.attempt, waiting.step_completed.attempt)
