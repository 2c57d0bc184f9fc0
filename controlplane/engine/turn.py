"""One trip of a batch of commands down the street, inside one open transaction.

report → advance → ingest → match → enqueue → dispatch: entered at *report*, so that the child events of this turn are
matched, queued and handed out in the same commit. Reads happen at three points only: `facts.load` before anything is
decided, each round of `street.go_down`, and the claim of ready runs before dispatch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.decision import Decision
from controlplane.core.ids import Ids, Rng
from controlplane.core.match import FunctionTable
from controlplane.core.records import SessionRow
from controlplane.core.waits import WaitShapes
from controlplane.engine import function_commands, replay_commands, run_commands, session_commands
from controlplane.engine.commands import (
    CancelRun,
    CancelRuns,
    Command,
    Connect,
    Disconnect,
    Drain,
    ExpireSessions,
    FireTimers,
    GrantCredit,
    Heartbeat,
    RegisterFunction,
    Release,
    ReleaseRun,
    ReplayRun,
    ReplayRuns,
    ReportOnce,
    SendEvents,
    SendSignal,
    SetFunctionState,
    SubmitReports,
    Sweep,
    TriggerFunction,
)
from controlplane.engine.facts import Facts, load
from controlplane.engine.handout import hand_out
from controlplane.engine.lanes import Lanes
from controlplane.engine.outbox import Delivery, Outbox
from controlplane.engine.sessions import SessionChanges, SessionTable
from controlplane.engine.settings import Settings
from controlplane.engine.street import go_down, store_waits
from controlplane.errors import CallerError
from controlplane.store.interface import Tx

SHAPES_SLACK = 10_000


@dataclass(slots=True)
class Memory:
    """What the engine keeps in memory, as of the newest commit. All of it can be rebuilt from the store."""

    functions: FunctionTable
    sessions: SessionTable
    shapes: WaitShapes
    """It is added to in place, by turns that fail too."""
    lanes: Lanes
    """It is changed in place: after a turn that failed it has to be read anew."""
    shapes_max: int = SHAPES_SLACK
    """Above so many the shapes are read anew, as most may be of waits that are gone."""


@dataclass(slots=True)
class Turn:
    """A turn while it is decided."""

    tx: Tx
    settings: Settings
    now: int
    facts: Facts
    d: Decision
    functions: FunctionTable
    sessions: SessionChanges
    shapes: WaitShapes
    lanes: Lanes
    answers: list[Any] = field(default_factory=list)
    """One a command: its answer, or the `CallerError` it is refused with."""
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    session_rows: dict[str, SessionRow | None] = field(default_factory=dict)
    """Sessions to store, or with `None` to delete."""
    farewells: dict[str, Outbox] = field(default_factory=dict)
    """Where the last delivery of a session goes that this turn ends."""
    timers_set: list[int] = field(default_factory=list)
    """When timers are due that handlers stored themselves."""
    has_fired: bool = False
    has_more: bool = False
    """Whether work was left for another turn that should follow at once."""

    def delivery(self, session_id: str) -> Delivery:
        """What this turn has for a session."""
        found = self.deliveries.get(session_id)
        if found is None:
            found = self.deliveries[session_id] = Delivery()
        return found

    def is_listened_to(self, namespace: str, name: str) -> bool:
        """Whether an event of that name would start or meet anything."""
        return bool(
            self.functions.candidates(namespace, name) or (self.shapes.count and self.shapes.of(namespace, name))
        )


_HANDLERS: dict[type[Any], Callable[[Turn, Any], Any]] = {
    SendEvents: run_commands.send_events,
    TriggerFunction: run_commands.trigger_function,
    CancelRun: run_commands.cancel_run,
    CancelRuns: run_commands.cancel_runs,
    ReplayRun: replay_commands.replay_run,
    ReplayRuns: replay_commands.replay_runs,
    ReleaseRun: run_commands.release_run,
    SendSignal: run_commands.send_signal,
    SetFunctionState: function_commands.set_state,
    SubmitReports: run_commands.submit_reports,
    ReportOnce: run_commands.report_once,
    FireTimers: run_commands.fire_timers,
    Sweep: run_commands.sweep,
    RegisterFunction: function_commands.register_function,
    Connect: session_commands.connect,
    Disconnect: session_commands.disconnect,
    GrantCredit: session_commands.grant_credit,
    Heartbeat: session_commands.heartbeat,
    Release: session_commands.release,
    Drain: session_commands.drain,
    ExpireSessions: session_commands.expire_sessions,
}


def take_turn(tx: Tx, commands: Sequence[Command], memory: Memory, settings: Settings, *, now: int, rng: Rng) -> Turn:
    """Decide and write everything; the caller commits, and only then lets any of it be seen."""
    if memory.shapes.count > memory.shapes_max:
        # What the turn itself changes must not be among it, as the turn may fail.
        memory.shapes = WaitShapes(tx.wait_shapes())
        memory.shapes_max = 2 * memory.shapes.count + SHAPES_SLACK
    facts = load(tx, commands, memory.sessions, now=now, dedupe_after=now - settings.dedupe_window)
    d = Decision(
        now=now,
        rng=rng,
        ids=Ids(now, rng),
        limits=settings.limits,
        functions=memory.functions.by_key,
        functions_by_name=memory.functions.by_name,
        runs=facts.runs,
        entries=facts.entries,
        events=facts.events,
        past=facts.past,
        signals=facts.signals,
        event_ids=facts.known_event_ids,
    )
    turn = Turn(
        tx=tx,
        settings=settings,
        now=now,
        facts=facts,
        d=d,
        functions=memory.functions,
        sessions=SessionChanges(memory.sessions),
        shapes=memory.shapes,
        lanes=memory.lanes,
    )
    finishing = [_handle(turn, command) for command in commands]
    go_down(turn)
    _write(turn)
    _address(turn)
    hand_out(turn)
    turn.answers = [finish() if callable(finish) else finish for finish in finishing]
    return turn


def _handle(turn: Turn, command: Command) -> Any:
    """Carry out one command. A refusal is its answer; an answer that needs the whole turn is a function."""
    try:
        return _HANDLERS[type(command)](turn, command)
    except CallerError as refusal:
        return refusal


def _write(turn: Turn) -> None:
    tx, d = turn.tx, turn.d
    if d.new_events:
        tx.insert_events(d.new_events)
    if d.new_runs:
        new = list(d.new_runs.values())
        turn.lanes.note(*new)
        tx.insert_runs(new)
    if d.changed_runs:
        # In the order of their ids, so that lanes take turns in the same order wherever the turn is taken.
        changed = [d.runs[run_id] for run_id in sorted(d.changed_runs)]
        turn.lanes.note(*changed)
        tx.update_runs(changed)
    if d.new_entries:
        tx.insert_entries(list(d.new_entries.values()))
    if d.changed_entries:
        tx.update_entries(list(d.changed_entries.values()))
    _write_waits(turn)
    _write_timers(turn)
    if turn.session_rows:
        tx.upsert_sessions([row for row in turn.session_rows.values() if row is not None])
        tx.delete_sessions([id_ for id_, row in turn.session_rows.items() if row is None])


def _write_timers(turn: Turn) -> None:
    tx, d = turn.tx, turn.d
    if d.new_timers:
        tx.insert_timers(d.new_timers)
    # After that: some of these were made in this very turn.
    if d.done_timers:
        tx.delete_timers(d.done_timers)
    if d.cleared:
        tx.delete_timers_of(d.cleared)
        tx.delete_waits_of(d.cleared)


def _write_waits(turn: Turn) -> None:
    tx, d = turn.tx, turn.d
    if d.new_waits:
        store_waits(turn)
    if d.done_waits:
        tx.delete_waits(sorted(d.done_waits))
    if d.changed_signals:
        signals = {key: d.signals[key] for key in d.changed_signals}
        tx.delete_signals([key for key, row in signals.items() if row is None])
        tx.upsert_signals([row for row in signals.values() if row is not None])
    if d.changed_flow:
        flow = {key: d.flow[key] for key in d.changed_flow}
        tx.delete_flow_rows([key for key, row in flow.items() if row is None])
        tx.upsert_flow_rows([row for row in flow.values() if row is not None])


def _address(turn: Turn) -> None:
    """Sort the effects by session."""
    d = turn.d
    for session_id, update in d.updates:
        turn.delivery(session_id).updates.append(update)
    for session_id, cancellation in d.cancellations:
        turn.delivery(session_id).cancellations.append(cancellation)
