"""What a referee has seen: of each stream, and of each lease that a worker was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from controlplane.gen.steplane.v1 import work_pb2

Lease: TypeAlias = tuple[str, int]
"""Run id and epoch."""
Place: TypeAlias = tuple[int, int]
"""Where a worker was told something: the number of its stream, and there the how many-th thing told."""

#: The place of what came with the lease itself: before anything that the worker does with it.
IN_THE_JOURNAL: Final[Place] = (0, 0)


@dataclass
class StreamSeen:
    """One stream, as it was seen."""

    worker: int
    """Which process of the worker, counted from 1."""
    number: int
    """Which of its streams, counted from 1."""
    hello: work_pb2.Hello | None = None
    credit: int = 0
    received: int = 0
    offered: set[Lease] = field(default_factory=set)
    usable: set[Lease] = field(default_factory=set)
    """The leases that it may report on: resumed, or given on it."""
    frame_bytes_max: int = 0
    _told: int = 0

    def next_place(self) -> Place:
        """The place of what it is told now."""
        self._told += 1
        return self.number, self._told


@dataclass
class Held:
    """A lease that a worker was given, with what it was told of it."""

    reports: list[bytes] = field(default_factory=list)
    """Those made, the same one once."""
    outcome: bytes = b""
    is_acked: bool = False
    """Its outcome is."""
    is_lost: bool = False
    """The worker was told so; whether it has heard, its heartbeats say."""
    is_released: bool = False
    lacking: int = 0
    """How many heartbeats in a row lack it."""
    known: set[str] = field(default_factory=set)
    """Keys of steps that were reported or are recorded."""
    over: dict[str, Place] = field(default_factory=dict)
    """Those that are over, and where it was told so."""
    attempts: dict[str, int] = field(default_factory=dict)
    _stream: int = 0
    """The number of the stream on which it was reported on last."""
    _unanswered: dict[str, int] = field(default_factory=dict)
    """Keys of reports of bodies, with the number of the stream on which they were sent last."""
    _read: Place = (0, 0)
    """Where the last such report was answered: at rest, the worker has read everything up to here."""

    @property
    def is_over(self) -> bool:
        """Whether the worker has nothing to do with it any more, or will soon hear so."""
        return self.is_acked or self.is_lost or self.is_released

    def is_reported_on(self, stream: StreamSeen) -> bool:
        """Whether there was a report of it on this stream: it was received then."""
        return self._stream == stream.number

    def sent(self, stream: StreamSeen, report: work_pb2.Report) -> None:
        """A report of it is sent, for the first time or again."""
        self._stream, self.lacking = stream.number, 0
        if report.WhichOneof("body") in ("step_completed", "step_failed"):
            self._unanswered[report.step_key] = stream.number

    def acked(self, stream: StreamSeen, key: str, place: Place) -> None:
        """A report of it is answered."""
        if self._unanswered.pop(key, None) == stream.number:
            self._read = place

    def ended(self, key: str, place: Place) -> None:
        """A worker is told that a step is over; what it is told again on another stream, it may not have heard before."""
        before = self.over.get(key)
        if before is None or (before != IN_THE_JOURNAL and before[0] < place[0]):
            self.over[key] = place

    def knew_at_rest(self, stream: StreamSeen, key: str) -> bool:
        """Whether a worker that reports on this stream that it waits for a step had read that this one is over.

        It had if that was in the journal, or told before an answer for which it waited first.
        """
        place = self.over.get(key)
        if place is None:
            return False
        return place == IN_THE_JOURNAL or (place[0] == stream.number and place < self._read)
