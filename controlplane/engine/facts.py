"""What the commands of a turn need to know, read in sets before anything is decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.core.records import (
    EventRow,
    JournalRow,
    ReportKind,
    RunRow,
    TimerKind,
    TimerRow,
)
from controlplane.engine.commands import (
    CancelRun,
    Command,
    Connect,
    Disconnect,
    ExpireSessions,
    FireTimers,
    Heartbeat,
    Release,
    SendEvents,
    SubmitReports,
    TriggerFunction,
)
from controlplane.engine.sessions import SessionTable
from controlplane.store.interface import Tx


@dataclass(slots=True)
class Facts:
    """The answers."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    entries: dict[tuple[str, str], JournalRow] = field(default_factory=dict)
    timers: list[TimerRow] = field(default_factory=list)
    delayed: dict[int, EventRow] = field(default_factory=dict)
    """The events of the due EVENT timers."""
    leases: dict[str, list[RunRow]] = field(default_factory=dict)
    """The runs leased to the sessions that are looked into, by session."""
    known_event_ids: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class _Wanted:
    runs: set[str] = field(default_factory=set)
    entries: set[tuple[str, str]] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    event_ids: list[tuple[str, str]] = field(default_factory=list)
    timers: int = 0


def load(tx: Tx, commands: Iterable[Command], sessions: SessionTable, *, now: int, dedupe_after: int) -> Facts:
    """Read what the commands need."""
    wanted = _Wanted()
    for command in commands:
        _want(wanted, command, sessions, now)
    facts = Facts()
    if wanted.timers:
        facts.timers = tx.timers_due(now, wanted.timers)
        _want_timers(wanted, facts.timers)
        event_keys = [int(t.subject) for t in facts.timers if t.kind is TimerKind.EVENT]
        if event_keys:
            facts.delayed = tx.events(event_keys)
    if wanted.runs:
        facts.runs = tx.runs(wanted.runs)
    if wanted.sessions:
        for run in tx.runs_of_sessions(wanted.sessions):
            facts.runs.setdefault(run.id, run)
            facts.leases.setdefault(run.session_id or "", []).append(run)
    if wanted.entries:
        facts.entries = tx.journal_entries(list(wanted.entries))
    if wanted.event_ids:
        facts.known_event_ids = tx.known_event_ids(wanted.event_ids, dedupe_after)
    return facts


def _want(wanted: _Wanted, command: Command, sessions: SessionTable, now: int) -> None:  # noqa: C901, PLR0912 one flat case a command
    match command:
        case SubmitReports():
            _want_reports(wanted, command)
        case SendEvents():
            namespace = command.namespace
            wanted.event_ids.extend((namespace, event.id) for event in command.events if event.id)
        case TriggerFunction():
            if command.event.id:
                wanted.event_ids.append((command.namespace, command.event.id))
        case CancelRun():
            wanted.runs.add(command.run_id)
        case Connect():
            wanted.runs.update(lease.run_id for lease in command.held)
            before = sessions.of_instance((command.namespace, command.app_id, command.instance_id))
            if before is not None:
                wanted.sessions.add(before)
        case Heartbeat():
            wanted.sessions.add(command.session_id)
            wanted.runs.update(lease.run_id for lease in command.held)
        case Disconnect():
            wanted.sessions.add(command.session_id)
        case Release():
            wanted.runs.update(lease.run_id for lease in command.leases)
        case ExpireSessions():
            wanted.sessions.update(session.row.id for session in sessions.expired(now))
        case FireTimers():
            wanted.timers = max(wanted.timers, command.limit)
        case _:
            pass


def _want_reports(wanted: _Wanted, command: SubmitReports) -> None:
    for report in command.reports:
        run_id = report.run_id
        wanted.runs.add(run_id)
        if report.step_key:
            wanted.entries.add((run_id, report.step_key))
        elif report.kind is ReportKind.RUN_PARKED:
            wanted.entries.update((run_id, step_key) for step_key in report.blocked_by)
        if report.kind is ReportKind.EVENTS_SENT:
            wanted.event_ids.extend((command.namespace, e.id) for e in report.events if e.id)


def _want_timers(wanted: _Wanted, timers: Sequence[TimerRow]) -> None:
    for timer in timers:
        if timer.kind is TimerKind.STEP:
            wanted.runs.add(timer.subject)
            wanted.entries.add((timer.subject, timer.detail))
        elif timer.kind is TimerKind.RUN:
            wanted.runs.add(timer.subject)
