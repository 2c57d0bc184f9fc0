"""What a turn did, as log lines: one a change of a run's state, with the ids of run, event, function and session.

Failures and cancellations are always told. The rest is told at debug, as it is thousands of lines a second under load.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from controlplane.core.records import RunRow
from controlplane.core.states import RunState

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn

_TOLD = {
    RunState.FAILED: logging.WARNING,
    RunState.CANCELLED: logging.INFO,
    RunState.SET_ASIDE: logging.WARNING,
}


class Line(NamedTuple):
    """One line, to be logged once its turn is committed."""

    level: int
    event: str
    fields: dict[str, Any]


def tell(turn: Turn, *, in_full: bool) -> list[Line]:
    """The lines of a turn, in the order of the street. To be asked before the commit, as it may read events."""
    changed = [turn.d.runs[run_id] for run_id in turn.d.changed_runs]
    if not in_full:
        changed = [run for run in changed if run.state in _TOLD]
        return _changes(turn, changed) if changed else []
    lines = [
        Line(
            logging.DEBUG,
            "event_received",
            {"event_id": event.id, "name": event.name}
            | ({"run_id": event.source_run_id} if event.source_run_id else {}),
        )
        for event in turn.d.new_events
    ]
    lines += _changes(turn, turn.d.new_runs.values())
    lines += _changes(turn, changed)
    lines += _changes(turn, [i.run for delivery in turn.deliveries.values() for i in delivery.invocations])
    return lines


def _changes(turn: Turn, runs: Iterable[RunRow]) -> list[Line]:
    runs = list(runs)
    events = {event.key: event.id for event in turn.d.new_events}
    missing = {run.event_key for run in runs} - events.keys()
    if missing:
        events.update((key, event.id) for key, event in turn.tx.events(missing).items())
    return [
        Line(_TOLD.get(run.state, logging.DEBUG), f"run_{run.state.name.lower()}", _fields(turn, run, events))
        for run in runs
    ]


def _fields(turn: Turn, run: RunRow, events: dict[int, str]) -> dict[str, Any]:
    definition = turn.functions.by_key[run.function_key].definition
    fields: dict[str, Any] = {
        "run_id": run.id,
        "event_id": events.get(run.event_key),
        "function_id": f"{definition.app_id}/{definition.function_id}",
        "epoch": run.epoch,
    }
    if run.session_id is not None:
        fields["session_id"] = run.session_id
    if run.state is RunState.WAITING and run.due_at is not None:
        fields["due_at"] = run.due_at
    if run.failure is not None:
        fields |= {"error": run.failure.name, "step_key": run.failure.step_key or None}
    return fields
