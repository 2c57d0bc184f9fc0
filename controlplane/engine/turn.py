"""One trip of a batch of commands down the street, inside one open transaction.

report → advance → ingest → match → enqueue → dispatch: entered at *report*, so that the child events of this turn are
matched, queued and handed out in the same commit. Reads happen at two points only: `facts.load` before anything is
decided, and the claim of ready runs before dispatch. Nothing that is in memory changes before the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.core import enqueue, ingest, match
from controlplane.core.decision import Decision
from controlplane.core.ids import Ids, Rng
from controlplane.core.match import FunctionTable
from controlplane.core.records import SessionRow
from controlplane.core.states import RunState
from controlplane.engine import function_commands, run_commands, session_commands
from controlplane.engine.commands import (
    CancelRun,
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
    SendEvents,
    SubmitReports,
    Sweep,
    TriggerFunction,
)
from controlplane.engine.facts import Facts, load
from controlplane.engine.handout import hand_out
from controlplane.engine.outbox import Delivery, Outbox
from controlplane.engine.sessions import SessionChanges, SessionTable
from controlplane.engine.settings import Settings
from controlplane.errors import CallerError
from controlplane.store.interface import Tx


@dataclass(slots=True)
class Memory:
    """What the engine keeps in memory, as of the newest commit. All of it can be rebuilt from the store."""

    functions: FunctionTable
    sessions: SessionTable
    ready: dict[int, None]
    """Functions that may have queued runs; the one that is to go first comes first."""


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
    ready: dict[int, None]
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


_HANDLERS: dict[type[Any], Callable[[Turn, Any], Any]] = {
    SendEvents: run_commands.send_events,
    TriggerFunction: run_commands.trigger_function,
    CancelRun: run_commands.cancel_run,
    SubmitReports: run_commands.submit_reports,
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
    facts = load(tx, commands, memory.sessions, now=now, dedupe_after=now - settings.dedupe_window)
    d = Decision(
        now=now,
        rng=rng,
        ids=Ids(now, rng),
        limits=settings.limits,
        functions=memory.functions.by_key,
        runs=facts.runs,
        entries=facts.entries,
    )
    turn = Turn(
        tx=tx,
        settings=settings,
        now=now,
        facts=facts,
        d=d,
        functions=memory.functions,
        sessions=SessionChanges(memory.sessions),
        ready=dict(memory.ready),
    )
    finishing = [_handle(turn, command) for command in commands]
    if d.incoming:
        count = sum(len(incoming.events) for incoming in d.incoming)
        ingest.accept(d, facts.known_event_ids, tx.reserve_event_keys(count))
    if d.matching:
        match.match(d, turn.functions)
    if d.starting:
        enqueue.enqueue(d)
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
        tx.insert_runs(d.new_runs)
        turn.ready.update((run.function_key, None) for run in d.new_runs)
    if d.changed_runs:
        changed = [d.runs[run_id] for run_id in d.changed_runs]
        tx.update_runs(changed)
        turn.ready.update((run.function_key, None) for run in changed if run.state is RunState.QUEUED)
    if d.new_entries:
        tx.insert_entries(list(d.new_entries.values()))
    if d.changed_entries:
        tx.update_entries(list(d.changed_entries.values()))
    if d.done_timers:
        tx.delete_timers(d.done_timers)
    if d.new_timers:
        tx.insert_timers(d.new_timers)
    if d.runs_without_timers:
        tx.delete_timers_of(d.runs_without_timers)
    if turn.session_rows:
        tx.upsert_sessions([row for row in turn.session_rows.values() if row is not None])
        tx.delete_sessions([id_ for id_, row in turn.session_rows.items() if row is None])


def _address(turn: Turn) -> None:
    """Sort the effects by session."""
    d = turn.d
    for session_id, ack in d.acks:
        turn.delivery(session_id).acks.append(ack)
    for session_id, resolution in d.resolutions:
        turn.delivery(session_id).resolutions.append(resolution)
    for session_id, cancellation in d.cancellations:
        turn.delivery(session_id).cancellations.append(cancellation)
