"""Watches every frame between a worker and the server, and says which rules of the protocol the worker broke.

The rules are those of docs/write-an-sdk.md. No rule asks what time it is, as a worker may be slow, and what it sends may
cross what it is told: a rule is broken only by what a worker can't have sent in ignorance. What it was *told* is what
was written to its stream; a report that has the very bytes of an earlier one is that report, sent again, which it may be
at any time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from conformance.seen import IN_THE_JOURNAL, Held, Lease, StreamSeen
from controlplane.gen.steplane.v1 import run_pb2, work_pb2

_KEY: Final = re.compile(r".+#(0|[1-9][0-9]*)", re.DOTALL)
_OVER: Final = (run_pb2.STEP_STATE_COMPLETED, run_pb2.STEP_STATE_FAILED)
_SUCCESS: Final = (work_pb2.ACK_STATUS_COMMITTED, work_pb2.ACK_STATUS_DUPLICATE)
_LOST: Final = (work_pb2.ACK_STATUS_STALE_EPOCH, work_pb2.ACK_STATUS_RUN_ENDED)
_OUTCOMES: Final = {"run_completed": "end", "run_failed": "end", "run_parked": "park"}
_RUN_STEP: Final = ("step_completed", "step_failed")
#: A heartbeat may be made before what is sent before it; the second one after that is not.
_HEARTBEATS: Final = 2


class Referee:
    """Of one rig: its worker, and those that take its place."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._leases: dict[tuple[int, Lease], Held] = defaultdict(Held)
        self._orders: dict[str, list[str]] = defaultdict(list)
        self._instances: dict[int, str] = {}
        self._streams: dict[int, int] = defaultdict(int)
        self._problems: list[tuple[str, str]] = []

    def opened(self, worker: int) -> StreamSeen:
        """A worker opens a stream."""
        self._streams[worker] += 1
        return StreamSeen(worker=worker, number=self._streams[worker])

    # What the worker sends.

    def sent(self, stream: StreamSeen, frame: work_pb2.StreamWorkRequest, size: int) -> list[Lease]:
        """The worker sent a frame. The result are leases that were lost, and that this heartbeat is the first to lack."""
        kind = frame.WhichOneof("frame")
        if stream.frame_bytes_max and size > stream.frame_bytes_max:
            self._object("", f"a frame has {size} bytes; the welcome said {stream.frame_bytes_max} at the most")
        if (kind == "hello") is not (stream.hello is None):
            self._object("", f"the first frame of a stream, and only that, is a hello; this is {kind}")
        match kind:
            case "hello":
                self._hello(stream, frame.hello)
            case "credit":
                self._credit(stream, frame.credit.invocation_limit)
            case "reports":
                self._reports(stream, frame.reports.reports)
            case "heartbeat":
                return list(self._heartbeat(stream, {(each.run_id, each.epoch) for each in frame.heartbeat.held}))
            case "release":
                self._release(stream, frame.release.leases)
            case "drain":
                pass
            case _:
                self._object("", "a frame without content")
        return []

    def _hello(self, stream: StreamSeen, hello: work_pb2.Hello) -> None:
        stream.hello = hello
        stream.offered = {(each.run_id, each.epoch) for each in hello.held}
        before = self._instances.setdefault(stream.worker, hello.instance_id)
        if before != hello.instance_id:
            self._object("", "a worker has the same instance_id on each of its streams")
        if list(self._instances.values()).count(hello.instance_id) > 1:
            self._object("", "two worker processes have the same instance_id")
        for lease, held in self._held_by(stream.worker):
            if held.reports and not held.is_over and lease not in stream.offered:
                self._object(lease[0], f"the hello lacks epoch {lease[1]}, of which reports are not acknowledged")

    def _credit(self, stream: StreamSeen, limit: int) -> None:
        if limit < stream.credit:
            self._object("", f"credit went down from {stream.credit} to {limit}")
        if limit > stream.received + self._slots:
            self._object("", f"credit of {limit} after {stream.received} invocations, with {self._slots} slots")
        stream.credit = limit

    def _heartbeat(self, stream: StreamSeen, leases: set[Lease]) -> Iterator[Lease]:
        for lease, held in self._held_by(stream.worker):
            if lease not in stream.usable or lease in leases:
                held.lacking = 0
                continue
            held.lacking += 1
            if held.is_lost and held.lacking == 1:
                yield lease
            if held.is_reported_on(stream) and not held.is_over and held.lacking == _HEARTBEATS:
                self._object(lease[0], f"two heartbeats lack epoch {lease[1]}, which is held")

    def _release(self, stream: StreamSeen, leases: Iterable[work_pb2.Lease]) -> None:
        for lease in leases:
            held = self._leases[stream.worker, (lease.run_id, lease.epoch)]
            if held.outcome:
                self._object(lease.run_id, f"epoch {lease.epoch} is released after its outcome was reported")
            held.is_released = True

    def _reports(self, stream: StreamSeen, reports: Iterable[work_pb2.Report]) -> None:
        for report in reports:
            self._report(stream, report)

    def _report(self, stream: StreamSeen, report: work_pb2.Report) -> None:
        run_id, lease = report.run_id, (report.run_id, report.epoch)
        held, data = self._leases[stream.worker, lease], report.SerializeToString(deterministic=True)
        body = report.WhichOneof("body") or "nothing"
        what = f"report {body} {report.step_key}".strip()
        if lease not in stream.usable:
            self._object(run_id, f"{what}: epoch {report.epoch} was neither given nor resumed on this stream")
        if held.is_lost and held.lacking >= _HEARTBEATS:
            self._object(run_id, f"{what}: the worker knew before that it lost epoch {report.epoch}")
        if held.is_released:
            self._object(run_id, f"{what}: the worker released epoch {report.epoch} before")
        held.sent(stream, report)
        if data in held.reports:
            return
        self._orders[run_id].append(f"report {report.step_key or _OUTCOMES.get(body, body)}")
        if held.outcome:
            self._object(run_id, f"{what} after the outcome of epoch {report.epoch}")
        held.reports.append(data)
        if body in _OUTCOMES:
            held.outcome = data
            self._outcome(stream, held, report, body)
        else:
            self._step(held, report, body, what)

    def _outcome(self, stream: StreamSeen, held: Held, report: work_pb2.Report, body: str) -> None:
        if report.step_key:
            self._object(report.run_id, f"{body} has the step key {report.step_key!r}")
        if body == "run_parked":
            keys = list(report.run_parked.blocked_by)
            if not keys or len(set(keys)) < len(keys):
                self._object(report.run_id, f"it is parked by {keys}")
            for key in keys:
                if key not in held.known:
                    self._object(report.run_id, f"it is parked by {key}, which nobody began")
                if held.knew_at_rest(stream, key):
                    self._object(report.run_id, f"it is parked by {key}, which is over")

    def _step(self, held: Held, report: work_pb2.Report, body: str, what: str) -> None:
        key = report.step_key
        if _KEY.fullmatch(key) is None:
            self._object(report.run_id, f"{what}: that is no step key")
            return
        if key in held.over:
            self._object(report.run_id, f"{what}: the step was executed again after it was recorded")
        if body in _RUN_STEP:
            attempt = getattr(report, body).attempt
            if attempt != held.attempts.get(key, 0) + 1:
                self._object(report.run_id, f"{what}: attempt {attempt} after {held.attempts.get(key, 0)}")
        if not report.HasField("start_time"):
            self._object(report.run_id, f"{what}: it has no start_time")
        held.known.add(key)

    # What the worker is told.

    def told(self, stream: StreamSeen, frame: work_pb2.StreamWorkResponse) -> None:
        """A frame was written to the worker."""
        match frame.WhichOneof("frame"):
            case "welcome":
                self._welcome(stream, frame.welcome)
            case "invocations":
                self._invocations(stream, frame.invocations.invocations)
            case "journal_part":
                held = self._leases[stream.worker, (frame.journal_part.run_id, frame.journal_part.epoch)]
                self._entries(held, frame.journal_part.entries, at=IN_THE_JOURNAL)
            case "resolutions":
                self._resolutions(stream, frame.resolutions.resolutions)
            case "acks":
                self._acks(stream, frame.acks.acks)
            case "cancellations":
                self._lose(stream, frame.cancellations.cancellations)
            case "heartbeat_ack":
                self._lose(stream, frame.heartbeat_ack.stop)
            case _:
                pass

    def _invocations(self, stream: StreamSeen, invocations: Iterable[work_pb2.Invocation]) -> None:
        for invocation in invocations:
            stream.received += 1
            lease = (invocation.run_id, invocation.epoch)
            stream.usable.add(lease)
            held = self._leases[stream.worker, lease]
            held.is_lost = held.is_released = False
            self._entries(held, invocation.journal, at=IN_THE_JOURNAL)

    def _resolutions(self, stream: StreamSeen, resolutions: Iterable[work_pb2.Resolution]) -> None:
        for each in resolutions:
            held = self._leases[stream.worker, (each.run_id, each.epoch)]
            self._entries(held, [each.entry], at=stream.next_place())

    def _welcome(self, stream: StreamSeen, welcome: work_pb2.Welcome) -> None:
        stream.usable = {(each.run_id, each.epoch) for each in welcome.resumed}
        stream.frame_bytes_max = welcome.limits.frame_bytes_max
        for lease in stream.offered - stream.usable:
            self._leases[stream.worker, lease].is_lost = True

    def _acks(self, stream: StreamSeen, acks: Iterable[work_pb2.Ack]) -> None:
        for ack in acks:
            self._ack(stream, ack)

    def _ack(self, stream: StreamSeen, ack: work_pb2.Ack) -> None:
        held = self._leases[stream.worker, (ack.run_id, ack.epoch)]
        if ack.status in _LOST:
            held.is_lost = True
        if ack.status not in _SUCCESS:
            return
        if not ack.step_key:
            held.is_acked = True
            return
        self._orders[ack.run_id].append(f"ack {ack.step_key}")
        place = stream.next_place()
        held.acked(stream, ack.step_key, place)
        if ack.HasField("entry"):
            self._entries(held, [ack.entry], at=place)
        else:
            held.ended(ack.step_key, place)

    def _entries(self, held: Held, entries: Iterable[run_pb2.JournalEntry], *, at: tuple[int, int]) -> None:
        for entry in entries:
            held.known.add(entry.step_key)
            held.attempts[entry.step_key] = max(entry.attempts, held.attempts.get(entry.step_key, 0))
            if entry.state in _OVER:
                held.ended(entry.step_key, at)

    def _lose(self, stream: StreamSeen, leases: Iterable[work_pb2.Cancellation | work_pb2.Lease]) -> None:
        for lease in leases:
            self._leases[stream.worker, (lease.run_id, lease.epoch)].is_lost = True

    # What is left at the end.

    def problems_of(self, run_id: str) -> list[str]:
        """All that is wrong with a run; with no id, what is about no run in particular."""
        return [problem for each, problem in self._problems if each == run_id]

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

    def order_of(self, run_id: str) -> list[str]:
        """The reports that a worker made and the acks that it was told, of a run, in their order."""
        return self._orders[run_id]

    def _held_by(self, worker: int) -> list[tuple[Lease, Held]]:
        return [(lease, held) for (each, lease), held in self._leases.items() if each == worker]

    def _object(self, run_id: str, problem: str) -> None:
        self._problems.append((run_id, problem))
