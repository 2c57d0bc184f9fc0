"""The street below the reports: settle → ingest → match → enqueue, as often as it takes.

What a run that ends tells may end other runs, or start some, in this very turn. Each round reads what it needs in sets.
The depth limit of lineages bounds the rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core import ingest, match, settle
from controlplane.core.records import RunRow, WaitRow
from controlplane.core.states import RunState
from controlplane.engine.loading import event_keys, load_entries, load_events, load_runs
from controlplane.engine.scheduling import schedule

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn


def go_down(turn: Turn) -> None:
    """Take everything that is on its way to its end: runs that are queued, or events that start nothing."""
    d = turn.d
    while d.incoming or d.matching or d.starting or d.flushing or d.ended or d.superseded:
        if d.ended or d.superseded:
            _settle(turn)
        if d.incoming:
            ingest.accept(d, turn.tx.reserve_event_keys(sum(len(incoming.events) for incoming in d.incoming)))
        if d.matching:
            _match(turn)
        if d.starting or d.flushing:
            schedule(turn)


def _match(turn: Turn) -> None:
    """Find what the events start, and let them meet who waits for them."""
    d = turn.d
    match.match(d, turn.functions)
    events, d.matching = d.matching, []
    store_waits(turn)
    if not turn.shapes.count:
        return
    keys = {key for event in events for key in turn.shapes.keys_of(event)}
    if not keys:
        return
    found: dict[match.WaitKey, list[WaitRow]] = {}
    rows = [
        row for row in turn.tx.find_waits(list(keys)) if (row.run_id, row.step_key, row.position) not in d.done_waits
    ]
    for row in rows:
        found.setdefault((row.namespace, row.event, row.path, row.value), []).append(row)
    load_runs(turn, {row.run_id for row in rows})
    load_entries(turn, {(row.run_id, row.step_key) for row in rows if row.step_key})
    with_expression = {row.run_id for row in rows if row.expression}
    load_events(turn, {d.runs[run_id].event_key for run_id in with_expression if run_id in d.runs})
    match.meet(d, events, found, turn.shapes)


def store_waits(turn: Turn) -> None:
    """Write the waits of this turn, so that they are found beside those of earlier ones."""
    d = turn.d
    if d.new_waits:
        for row in d.new_waits:
            # Not undone if the turn fails: a shape that nobody has costs no more than a look-up.
            turn.shapes.add(row.namespace, row.event, row.path)
        turn.tx.insert_waits(d.new_waits)
        d.new_waits = []


def _settle(turn: Turn) -> None:
    """Tell what became of the runs that ended."""
    d = turn.d
    ended, d.ended = d.ended, []
    superseded, d.superseded = d.superseded, []
    listened = {kind: _is_listened_to(turn, *kind) for kind in {(run.namespace, run.state) for run in ended}}
    telling = [run for run in ended if listened[run.namespace, run.state] or _is_invoked(run)]
    if not telling and not superseded:
        return
    load_events(turn, {key for run in telling for key in event_keys(run)})
    events = {run.id: [d.events[key] for key in event_keys(run) if key in d.events] for run in telling}
    invoking = [event for run in telling if _is_invoked(run) for event in events[run.id]] + superseded
    load_runs(turn, {event.source_run_id for event in invoking if event.source_run_id is not None})
    load_entries(
        turn,
        {
            (event.source_run_id, event.source_step_key)
            for event in invoking
            if event.source_run_id is not None and event.source_step_key is not None
        },
    )
    for run in telling:
        if _is_invoked(run):
            settle.answer_invokers(d, run, events[run.id])
        settle.tell(d, run, events[run.id], turn.is_listened_to)
    for event in superseded:
        settle.answer_superseded(d, event)


def _is_invoked(run: RunRow) -> bool:
    return run.extra is not None and run.extra.is_invoked


def _is_listened_to(turn: Turn, namespace: str, state: RunState) -> bool:
    return any(turn.is_listened_to(namespace, name) for name in settle.TOLD[state])
