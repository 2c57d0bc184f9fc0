"""Stops a lineage that has become too long, and tells which functions go round in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core.reasons import Reason
from controlplane.core.records import Ack, AckStatus, Report, RunRow

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn


def refuse_lineage(turn: Turn, report: Report, run: RunRow) -> Ack:
    """The refusal of a report that would send one more event down a lineage that is as long as it may be."""
    message = (
        f"its event would be number {run.depth + 2} of its lineage, and {turn.d.limits.lineage_depth_max + 1} are the most. "
        f"The functions start each other: {_loop(turn, run)}. Break that loop, or raise lineage_depth_max"
    )
    key = report.step_key
    return Ack(report.run_id, report.epoch, key, AckStatus.REJECTED, None, Reason.LINEAGE_TOO_DEEP, message)


def _loop(turn: Turn, run: RunRow) -> str:
    """The functions that led to a run, back to one that is among them already. Reads a run and an event for each."""
    names = [_name(turn, run)]
    while True:
        event = turn.tx.events([run.event_key]).get(run.event_key)
        source = event.source_run_id if event is not None else None
        before = (turn.d.runs.get(source) or turn.tx.runs([source]).get(source)) if source is not None else None
        if before is None:
            break
        run = before
        names.insert(0, _name(turn, run))
        if names[0] in names[1:]:
            break
    return " → ".join(names)


def _name(turn: Turn, run: RunRow) -> str:
    definition = turn.functions.by_key[run.function_key].definition
    return f"{definition.app_id}/{definition.function_id}"
