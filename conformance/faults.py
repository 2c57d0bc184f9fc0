"""The faults of cases that are being played: which of them happens now.

A moment is a thing that passes the relay: a report, an ack, a resolution, an invocation, a part of a journal, a cancellation,
a heartbeat.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from conformance.case import Case, Fault
from conformance.pulse import Pulse
from controlplane.gen.steplane.v1 import work_pb2

_Item: TypeAlias = (
    work_pb2.Report
    | work_pb2.Ack
    | work_pb2.Resolution
    | work_pb2.Invocation
    | work_pb2.JournalPart
    | work_pb2.Cancellation
    | work_pb2.Lease
)
_OUTCOMES = {"run_completed": "end", "run_failed": "end", "run_parked": "park"}
_RECORDED = (work_pb2.ACK_STATUS_COMMITTED, work_pb2.ACK_STATUS_DUPLICATE)


@dataclass
class _Armed:
    fault: Fault
    functions: frozenset[str]
    count: int = 0


class Faults:
    """Of all cases that one rig plays. Each happens once."""

    def __init__(self, cases: Iterable[Case], pulse: Pulse) -> None:
        self._armed = [
            _Armed(fault, frozenset([fault.function] if fault.function else [each["id"] for each in case.functions]))
            for case in cases
            for fault in case.faults
        ]
        self._pulse = pulse
        self._functions: dict[str, str] = {}
        self._outcomes: dict[tuple[str, int], str] = {}
        self._seen: set[tuple[str, int, str]] = set()
        self._come: dict[tuple[str, str], asyncio.Event] = defaultdict(asyncio.Event)

    def of_report(self, report: work_pb2.Report) -> list[Fault]:
        """Those that happen as a worker's report comes."""
        body = report.WhichOneof("body") or ""
        if body in _OUTCOMES:
            self._outcomes[report.run_id, report.epoch] = _OUTCOMES[body]
        return self._met(report, f"report {report.step_key or _OUTCOMES.get(body, '')}")

    def of_ack(self, ack: work_pb2.Ack) -> list[Fault]:
        """Those that happen as an ack is to be told."""
        what = "ack" if ack.status in _RECORDED else "refusal"
        return self._met(ack, f"{what} {ack.step_key or self._outcomes.get((ack.run_id, ack.epoch), '')}")

    def of_resolution(self, resolution: work_pb2.Resolution) -> list[Fault]:
        """Those that happen as a resolution is to be told."""
        return self._met(resolution, f"resolution {resolution.entry.step_key}")

    def of_invocation(self, invocation: work_pb2.Invocation) -> list[Fault]:
        """Those that happen as an invocation is to be given."""
        self._functions[invocation.run_id] = invocation.function_id
        return self._met(invocation, "invocation")

    def of_journal_part(self, part: work_pb2.JournalPart) -> list[Fault]:
        """Those that happen as a part of a journal is to be given."""
        return self._met(part, "part")

    def of_cancellation(self, cancellation: work_pb2.Cancellation) -> list[Fault]:
        """Those that happen as a cancellation is to be told."""
        return self._met(cancellation, "cancellation")

    def of_forgotten(self, lease: work_pb2.Lease) -> list[Fault]:
        """Those that happen as a heartbeat lacks a lease that was lost."""
        return self._met(lease, "forgotten")

    async def come(self, run_id: str, moment: str) -> None:
        """Wait for a moment of a run, if it has not come yet."""
        await self._come[run_id, moment].wait()

    def left(self, case: Case) -> list[Fault]:
        """Those of a case whose moment has not come yet, though it has to: what is never sent need not be held."""
        return [
            armed.fault
            for armed in self._armed
            if armed.fault in case.faults and armed.count < armed.fault.nth and armed.fault.action != "hold"
        ]

    def _met(self, item: _Item, moment: str) -> list[Fault]:
        function_id, met = self._functions.get(item.run_id, ""), []
        self._come[item.run_id, moment].set()
        if (item.run_id, item.epoch, moment) not in self._seen:
            # A worker that fails in the same way again and again is as good as one that does nothing.
            self._seen.add((item.run_id, item.epoch, moment))
            self._pulse.beat(function_id)
        for armed in self._armed:
            if armed.fault.moment == moment and function_id in armed.functions:
                armed.count += 1
                if armed.count == armed.fault.nth:
                    met.append(armed.fault)
        return met
