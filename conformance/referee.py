"""Watches every frame between a worker and the server, and says which rules of the protocol the worker broke.

The rules are those of docs/write-an-sdk.md. What a worker was *told* is what was written to its stream; a report that has
the very bytes of an earlier one is that report, sent again, which it may be at any time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, TypeAlias

from controlplane.gen.steplane.v1 import run_pb2, work_pb2

Lease: TypeAlias = tuple[str, int]

#: How long something that was told may cross what the worker sends meanwhile.
_CROSSING_SECONDS: Final = 0.5
_KEY: Final = re.compile(r".+#(0|[1-9][0-9]*)", re.DOTALL)
_OVER: Final = (run_pb2.STEP_STATE_COMPLETED, run_pb2.STEP_STATE_FAILED)
_SUCCESS: Final = (work_pb2.ACK_STATUS_COMMITTED, work_pb2.ACK_STATUS_DUPLICATE)
_OUTCOMES: Final = ("run_completed", "run_failed", "run_parked")


@dataclass
class _Run:
    """What workers were told of a run."""

    known: set[str] = field(default_factory=set)
    """Keys of steps that were reported or are recorded."""
    over: dict[str, float] = field(default_factory=dict)
    """Those that are over, with the moment when a worker was told so: 0 if it was with the lease itself."""
    attempts: dict[str, int] = field(default_factory=dict)


@dataclass
class _Held:
    """A lease that a worker was given."""

    reports: dict[bytes, float] = field(default_factory=dict)
    outcome: bytes = b""
    is_acked: bool = False
    lost_at: float = 0.0
    """When the worker was told to stop; 0 if it was not."""


@dataclass
class StreamSeen:
    """One stream, as it was seen."""

    worker: int
    """Which process of the worker, counted from 1."""
    hello: work_pb2.Hello | None = None
    credit: int = 0
    received: int = 0
    is_draining: bool = False
    offered: set[Lease] = field(default_factory=set)
    usable: set[Lease] = field(default_factory=set)
    """The leases that it may report on: resumed, or given on it."""
    frame_bytes_max: int = 0


class Referee:
    """Of one rig: its worker, and those that take its place."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._runs: dict[str, _Run] = defaultdict(_Run)
        self._leases: dict[tuple[int, Lease], _Held] = defaultdict(_Held)
        self._instances: dict[int, str] = {}
        self.problems: list[tuple[str, str]] = []
        """Each with the id of the run that it is about; empty if it is about none."""

    # What the worker sends.

    def sent(self, stream: StreamSeen, frame: work_pb2.StreamWorkRequest, size: int) -> None:
        """The worker sent a frame."""
        kind = frame.WhichOneof("frame")
        if stream.frame_bytes_max and size > stream.frame_bytes_max:
            self._object("", f"a frame has {size} bytes; the welcome said {stream.frame_bytes_max} at the most")
        if (kind == "hello") is not (stream.hello is None):
            self._object("", f"the first frame of a stream, and only that, is a hello; this is {kind}")
        self._frame(stream, frame)

    def _frame(self, stream: StreamSeen, frame: work_pb2.StreamWorkRequest) -> None:
        match frame.WhichOneof("frame"):
            case "hello":
                self._hello(stream, frame.hello)
            case "credit":
                self._credit(stream, frame.credit.invocation_limit)
            case "reports":
                for report in frame.reports.reports:
                    self._report(stream, report)
            case "heartbeat":
                self._heartbeat(stream, {(each.run_id, each.epoch) for each in frame.heartbeat.held})
            case "release":
                for lease in frame.release.leases:
                    self._release(stream, (lease.run_id, lease.epoch))
            case "drain":
                stream.is_draining = True
            case _:
                self._object("", "a frame without content")

    def _hello(self, stream: StreamSeen, hello: work_pb2.Hello) -> None:
        stream.hello = hello
        stream.offered = {(each.run_id, each.epoch) for each in hello.held}
        before = self._instances.setdefault(stream.worker, hello.instance_id)
        if before != hello.instance_id:
            self._object("", "a worker has the same instance_id on each of its streams")
        if list(self._instances.values()).count(hello.instance_id) > 1:
            self._object("", "two worker processes have the same instance_id")
        for lease, held in self._held_by(stream.worker):
            if held.reports and not held.is_acked and not held.lost_at and lease not in stream.offered:
                self._object(lease[0], f"the hello lacks epoch {lease[1]}, of which reports are not acknowledged")

    def _credit(self, stream: StreamSeen, limit: int) -> None:
        if limit < stream.credit:
            self._object("", f"credit went down from {stream.credit} to {limit}")
        if limit > stream.received + self._slots:
            self._object("", f"credit of {limit} after {stream.received} invocations, with {self._slots} slots")
        stream.credit = limit

    def _heartbeat(self, stream: StreamSeen, leases: set[Lease]) -> None:
        for lease, held in self._held_by(stream.worker):
            is_young = any(monotonic() - at < _CROSSING_SECONDS for at in held.reports.values())
            is_held = lease in stream.usable and bool(held.reports) and not (held.is_acked or held.lost_at)
            if is_held and not is_young and lease not in leases:
                self._object(lease[0], f"a heartbeat lacks epoch {lease[1]}, which is held")

    def _release(self, stream: StreamSeen, lease: Lease) -> None:
        held = self._leases[stream.worker, lease]
        if held.outcome:
            self._object(lease[0], f"epoch {lease[1]} is released after its outcome was reported")
        held.lost_at = held.lost_at or monotonic()

    def _report(self, stream: StreamSeen, report: work_pb2.Report) -> None:
        run_id, lease = report.run_id, (report.run_id, report.epoch)
        held, data = self._leases[stream.worker, lease], report.SerializeToString(deterministic=True)
        body = report.WhichOneof("body") or "nothing"
        what = f"report {body} {report.step_key}".strip()
        if lease not in stream.usable:
            self._object(run_id, f"{what}: epoch {report.epoch} was neither given nor resumed on this stream")
        if data in held.reports:
            return
        if held.outcome:
            self._object(run_id, f"{what} after the outcome of epoch {report.epoch}")
        if held.lost_at and monotonic() - held.lost_at > _CROSSING_SECONDS:
            self._object(run_id, f"{what}: the worker was told before that it lost epoch {report.epoch}")
        held.reports[data] = monotonic()
        if body in _OUTCOMES:
            held.outcome = data
            self._outcome(report, body)
        else:
            self._step(report, body, what)

    def _outcome(self, report: work_pb2.Report, body: str) -> None:
        if report.step_key:
            self._object(report.run_id, f"{body} has the step key {report.step_key!r}")
        if body == "run_parked":
            run, keys = self._runs[report.run_id], list(report.run_parked.blocked_by)
            if not keys or len(set(keys)) < len(keys):
                self._object(report.run_id, f"it is parked by {keys}")
            for key in keys:
                if key in run.over and monotonic() - run.over[key] > _CROSSING_SECONDS:
                    self._object(report.run_id, f"it is parked by {key}, which is over")
                if key not in run.known:
                    self._object(report.run_id, f"it is parked by {key}, which nobody began")

    def _step(self, report: work_pb2.Report, body: str, what: str) -> None:
        run, key = self._runs[report.run_id], report.step_key
        if _KEY.fullmatch(key) is None:
            self._object(report.run_id, f"{what}: that is no step key")
            return
        if key in run.over:
            self._object(report.run_id, f"{what}: the step was executed again after it was recorded")
        if body in ("step_completed", "step_failed"):
            attempt = getattr(report, body).attempt
            if attempt != run.attempts.get(key, 0) + 1:
                self._object(report.run_id, f"{what}: attempt {attempt} after {run.attempts.get(key, 0)}")
        if not report.HasField("start_time"):
            self._object(report.run_id, f"{what}: it has no start_time")
        run.known.add(key)

    # What the worker is told.

    def told(self, stream: StreamSeen, frame: work_pb2.StreamWorkResponse) -> None:
        """A frame was written to the worker."""
        match frame.WhichOneof("frame"):
            case "welcome":
                self._welcome(stream, frame.welcome)
            case "invocations":
                for invocation in frame.invocations.invocations:
                    self._invocation(stream, invocation)
            case "journal_part":
                self._entries(frame.journal_part.run_id, frame.journal_part.entries, at=0.0)
            case "resolutions":
                for resolution in frame.resolutions.resolutions:
                    self._entries(resolution.run_id, [resolution.entry], at=monotonic())
            case "acks":
                self._acks(stream, frame.acks.acks)
            case "cancellations":
                self._lose(stream, frame.cancellations.cancellations)
            case "heartbeat_ack":
                self._lose(stream, frame.heartbeat_ack.stop)
            case _:
                pass

    def _invocation(self, stream: StreamSeen, invocation: work_pb2.Invocation) -> None:
        stream.received += 1
        lease = (invocation.run_id, invocation.epoch)
        stream.usable.add(lease)
        self._leases[stream.worker, lease].lost_at = 0.0
        self._entries(invocation.run_id, invocation.journal, at=0.0)

    def _welcome(self, stream: StreamSeen, welcome: work_pb2.Welcome) -> None:
        stream.usable = {(each.run_id, each.epoch) for each in welcome.resumed}
        stream.frame_bytes_max = welcome.limits.frame_bytes_max
        for lease in stream.offered - stream.usable:
            self._lost(stream, lease)

    def _acks(self, stream: StreamSeen, acks: Iterable[work_pb2.Ack]) -> None:
        for ack in acks:
            self._ack(stream, ack)

    def _ack(self, stream: StreamSeen, ack: work_pb2.Ack) -> None:
        held = self._leases[stream.worker, (ack.run_id, ack.epoch)]
        if ack.status in (work_pb2.ACK_STATUS_STALE_EPOCH, work_pb2.ACK_STATUS_RUN_ENDED):
            self._lost(stream, (ack.run_id, ack.epoch))
        elif ack.status in _SUCCESS and not ack.step_key:
            held.is_acked = True
        elif ack.status in _SUCCESS and ack.HasField("entry"):
            self._entries(ack.run_id, [ack.entry], at=monotonic())
        elif ack.status in _SUCCESS:
            self._runs[ack.run_id].over.setdefault(ack.step_key, monotonic())

    def _entries(self, run_id: str, entries: Iterable[run_pb2.JournalEntry], *, at: float) -> None:
        run = self._runs[run_id]
        for entry in entries:
            run.known.add(entry.step_key)
            run.attempts[entry.step_key] = entry.attempts
            if entry.state in _OVER:
                run.over[entry.step_key] = min(at, run.over.get(entry.step_key, at))

    def _lose(self, stream: StreamSeen, leases: Iterable[work_pb2.Cancellation | work_pb2.Lease]) -> None:
        for lease in leases:
            self._lost(stream, (lease.run_id, lease.epoch))

    def _lost(self, stream: StreamSeen, lease: Lease) -> None:
        held = self._leases[stream.worker, lease]
        held.lost_at = held.lost_at or monotonic()

    # What is left at the end.

    def reports_of(self, run_id: str) -> dict[str, int]:
        """How many different reports of each step of a run there were."""
        counts: dict[str, int] = defaultdict(int)
        for (_, lease), held in self._leases.items():
            if lease[0] == run_id:
                for data in held.reports:
                    key = work_pb2.Report.FromString(data).step_key
                    if key:
                        counts[key] += 1
        return dict(counts)

    def _held_by(self, worker: int) -> list[tuple[Lease, _Held]]:
        return [(lease, held) for (each, lease), held in self._leases.items() if each == worker]

    def _object(self, run_id: str, problem: str) -> None:
        self.problems.append((run_id, problem))
