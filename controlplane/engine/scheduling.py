"""Turns what is to start into runs or into what waits: reads in sets what the controls remember, then lets the core decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core import enqueue
from controlplane.core.definition import NO_OPTIONS
from controlplane.core.flow import read_buffer
from controlplane.core.records import EventRow, FlowKind
from controlplane.engine.loading import load_events, load_runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controlplane.engine.turn import Turn


def schedule(turn: Turn) -> None:
    """Schedule all of `starting` and `flushing`."""
    d = turn.d
    starting, d.starting = d.starting, []
    flushing, d.flushing = d.flushing, []
    controlled = [item for item in starting if item[1].definition.options != NO_OPTIONS]
    if controlled or flushing:
        wanted = {key for event, function, _ in controlled for key in enqueue.keys_of(function, event)}
        _load_flow(turn, wanted | set(flushing))
        _load_held(turn, flushing)
    for event, function, incoming in starting:
        is_invoked = incoming is not None and incoming.is_invoke
        if function.definition.options == NO_OPTIONS:
            run = (
                enqueue.start(d, function, [event], is_invoked=True)
                if is_invoked
                else enqueue.start_plain(d, function, event)
            )
        else:
            offered = enqueue.offer(d, function, event, is_invoked=is_invoked)
            if offered is None:
                continue
            run = offered
        if incoming is not None:
            incoming.run_ids.append(run.id)
            if is_invoked:
                _name(turn, event, run.id)
    for key in flushing:
        enqueue.flush(d, key)


def _name(turn: Turn, event: EventRow, run_id: str) -> None:
    """Let the step that invoked a run know which one that is."""
    entry = turn.d.entries.get((event.source_run_id or "", event.source_step_key or ""))
    if entry is not None:
        turn.d.set_entry(entry._replace(other_run_id=run_id))


def _load_flow(turn: Turn, keys: Iterable[tuple[int, FlowKind, int]]) -> None:
    """Have these rows in the decision, as they stand."""
    d = turn.d
    missing = [key for key in keys if key not in d.flow]
    if missing:
        d.flow.update(dict.fromkeys(missing))
        d.flow.update(turn.tx.flow_rows(missing))


def _load_held(turn: Turn, flushing: Iterable[tuple[int, FlowKind, int]]) -> None:
    """Have the events that wait, what their runs are bound by, and the runs that may be in their way."""
    d = turn.d
    held = {
        event_key
        for (_, kind, _), row in d.flow.items()
        if row is not None and kind in (FlowKind.BATCH, FlowKind.DEBOUNCE)
        for event_key in read_buffer(row).event_keys
    }
    load_events(turn, held)
    # A debounced event meets the controls that come after once it is let go.
    let_go = [
        (d.events[event_key], function)
        for key in flushing
        if (row := d.flow.get(key)) is not None and (function := d.functions.get(key[0])) is not None
        for event_key in read_buffer(row).event_keys
        if event_key in d.events
    ]
    _load_flow(turn, {key for event, function in let_go for key in enqueue.keys_of(function, event)})
    load_runs(turn, {row.value for row in d.flow.values() if row is not None and row.kind is FlowKind.SINGLETON})
