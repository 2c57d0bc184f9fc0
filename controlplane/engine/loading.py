"""Brings into a decision what it lacks, in sets: runs, steps and events, as they stand in this turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core.records import EventRow, RunRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controlplane.engine.turn import Turn


def event_keys(run: RunRow) -> tuple[int, ...]:
    """The keys of the events that started a run."""
    return (run.event_key,) if run.extra is None else (run.event_key, *run.extra.more_events)


def load_runs(turn: Turn, run_ids: Iterable[str]) -> None:
    """Have these runs in the decision, as they stand."""
    missing = [run_id for run_id in run_ids if run_id not in turn.d.runs]
    if missing:
        turn.d.runs.update(turn.tx.runs(missing))


def load_entries(turn: Turn, keys: Iterable[tuple[str, str]]) -> None:
    """Have these steps in the decision, as they stand."""
    missing = [key for key in keys if key not in turn.d.entries]
    if missing:
        turn.d.entries.update(turn.tx.journal_entries(missing))


def load_events(turn: Turn, keys: Iterable[int]) -> None:
    """Have these events in the decision; some may be of this very turn, and not be stored yet."""
    events = turn.d.events
    missing = {key for key in keys if key not in events}
    if missing:
        fresh: dict[int, EventRow] = {event.key: event for event in turn.d.new_events if event.key in missing}
        events.update(fresh)
        missing -= fresh.keys()
    if missing:
        events.update(turn.tx.events(missing))
