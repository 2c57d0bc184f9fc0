"""What the commands that start runs again do in a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core import enqueue
from controlplane.core.definition import FunctionState
from controlplane.core.records import JournalRow, RunRow
from controlplane.core.states import ENDED, StepState
from controlplane.engine.commands import ReplayRun, ReplayRuns
from controlplane.engine.loading import event_keys, load_events
from controlplane.errors import FailedPrecondition, NotFound

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn


def replay_run(turn: Turn, command: ReplayRun) -> str:
    """Start a run again, with all of its journal before a step, if one is named."""
    run = turn.d.runs.get(command.run_id)
    if run is None or run.namespace != command.namespace:
        raise NotFound(kind="run", name=command.run_id)
    if turn.functions.by_key[run.function_key].state is FunctionState.DELETED:
        raise FailedPrecondition(f"the function of run {run.id} was deleted", reason="FUNCTION_DELETED")
    journal = _journal_before(turn, run, command) if command.step_key else []
    load_events(turn, event_keys(run))
    return _start_again(turn, run, journal).id


def replay_runs(turn: Turn, command: ReplayRuns) -> int:
    """Start those of several runs again that have ended."""
    runs = [run for run_id in command.run_ids if (run := turn.d.runs.get(run_id)) is not None]
    runs = [
        run
        for run in runs
        if run.namespace == command.namespace
        and run.state in ENDED
        and turn.functions.by_key[run.function_key].state is not FunctionState.DELETED
    ]
    load_events(turn, {key for run in runs for key in event_keys(run)})
    for run in runs:
        _start_again(turn, run, [])
    return len(runs)


def _journal_before(turn: Turn, run: RunRow, command: ReplayRun) -> list[JournalRow]:
    """What is recorded before a step, and the step itself if its output is given. What is pending is done anew."""
    journal = turn.tx.journals([run.id]).get(run.id, [])
    keys = [entry.step_key for entry in journal]
    if command.step_key not in keys:
        raise NotFound(
            kind="step", name=command.step_key, hint=f"Run {run.id} has recorded: {', '.join(keys) or 'none'}."
        )
    place = keys.index(command.step_key)
    kept = [entry for entry in journal[:place] if entry.ended_at is not None]
    if command.output is not None:
        kept.append(
            journal[place]._replace(
                state=StepState.COMPLETED,
                output=command.output,
                output_encoding=command.encoding,
                failure=None,
                ended_at=turn.now,
                due_at=None,
            )
        )
    return kept


def _start_again(turn: Turn, run: RunRow, journal: list[JournalRow]) -> RunRow:
    d = turn.d
    events = [d.events[key] for key in event_keys(run)]
    new = enqueue.start(d, turn.functions.by_key[run.function_key], events, replay_of=run.id)
    for entry in journal:
        d.set_entry(entry._replace(run_id=new.id))
    if journal:
        size = sum(len(entry.output or b"") for entry in journal)
        new = new._replace(step_count=len(journal), journal_bytes=size)
        d.set_run(new)
    return new
