"""What the commands of a turn need to know, read in sets before anything is decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.core.records import (
    EventRow,
    JournalRow,
    Report,
    ReportKind,
    RunRow,
    SignalRow,
    TimerKind,
    TimerRow,
    WaitRow,
)
from controlplane.core.requests import SignalRequest, SignalWaitRequest, WaitRequest
from controlplane.core.waits import is_met, rows_of_step
from controlplane.engine.commands import (
    CancelRun,
    CancelRuns,
    Command,
    Connect,
    Disconnect,
    ExpireSessions,
    FireTimers,
    Heartbeat,
    Release,
    ReleaseRun,
    ReplayRun,
    ReplayRuns,
    ReportOnce,
    SendEvents,
    SendSignal,
    SubmitReports,
    TriggerFunction,
)
from controlplane.engine.sessions import SessionTable
from controlplane.store.interface import Tx

#: Past events looked at in one piece, so that their data can't fill the memory.
_PAST_PAGE = 200


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
    events: dict[int, EventRow] = field(default_factory=dict)
    """The events of runs that begin to wait for others."""
    past: dict[tuple[str, str], list[EventRow | None]] = field(default_factory=dict)
    """For waits that look back, by run id and step key: what came before, one for each event that is waited for."""
    signals: dict[tuple[str, str], SignalRow | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Wanted:
    runs: set[str] = field(default_factory=set)
    entries: set[tuple[str, str]] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    event_ids: list[tuple[str, str]] = field(default_factory=list)
    signals: set[tuple[str, str]] = field(default_factory=set)
    waits: list[Report] = field(default_factory=list)
    timers: int = 0


def load(tx: Tx, commands: Iterable[Command], sessions: SessionTable, *, now: int, dedupe_after: int) -> Facts:
    """Read what the commands need."""
    wanted = _Wanted()
    for command in commands:
        _want(wanted, command, sessions, now)
    facts = Facts()
    if wanted.timers:
        _load_timers(tx, facts, wanted, now)
    if wanted.signals:
        _load_signals(tx, facts, wanted)
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
    if wanted.waits:
        _load_past(tx, facts, wanted.waits, now)
    return facts


def _load_signals(tx: Tx, facts: Facts, wanted: _Wanted) -> None:
    waiting = tx.signals(list(wanted.signals))
    facts.signals = dict(waiting)
    for row in waiting.values():
        wanted.runs.add(row.run_id)
        wanted.entries.add((row.run_id, row.step_key))


def _load_timers(tx: Tx, facts: Facts, wanted: _Wanted, now: int) -> None:
    facts.timers = tx.timers_due(now, wanted.timers)
    _want_timers(wanted, facts.timers)
    delayed = [int(t.subject) for t in facts.timers if t.kind is TimerKind.EVENT]
    if delayed:
        facts.delayed = tx.events(delayed)


def _want(wanted: _Wanted, command: Command, sessions: SessionTable, now: int) -> None:  # noqa: C901, PLR0912 one flat case a command
    match command:
        case SubmitReports():
            _want_reports(wanted, command)
        case ReportOnce():
            _want_reports(wanted, command)
            wanted.runs.update(lease.run_id for lease in command.held)
        case SendEvents():
            namespace = command.namespace
            wanted.event_ids.extend((namespace, event.id) for event in command.events if event.id)
        case TriggerFunction():
            if command.event.id:
                wanted.event_ids.append((command.namespace, command.event.id))
        case CancelRun() | ReleaseRun() | ReplayRun():
            wanted.runs.add(command.run_id)
        case CancelRuns() | ReplayRuns():
            wanted.runs.update(command.run_ids)
        case SendSignal():
            wanted.signals.add((command.namespace, command.signal))
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


def _want_reports(wanted: _Wanted, command: SubmitReports | ReportOnce) -> None:
    for report in command.reports:
        run_id = report.run_id
        wanted.runs.add(run_id)
        if report.step_key:
            wanted.entries.add((run_id, report.step_key))
        elif report.kind is ReportKind.RUN_PARKED:
            wanted.entries.update((run_id, step_key) for step_key in report.blocked_by)
        if report.kind is ReportKind.EVENTS_SENT:
            wanted.event_ids.extend((command.namespace, e.id) for e in report.events if e.id)
        request = report.request
        if request is None:
            continue
        if isinstance(request, WaitRequest):
            wanted.waits.append(report)
        elif isinstance(request, SignalRequest | SignalWaitRequest):
            wanted.signals.add((command.namespace, request.signal))


def _want_timers(wanted: _Wanted, timers: Sequence[TimerRow]) -> None:
    for timer in timers:
        if timer.kind is TimerKind.STEP:
            wanted.runs.add(timer.subject)
            wanted.entries.add((timer.subject, timer.detail))
        elif timer.kind in (TimerKind.RUN, TimerKind.START, TimerKind.FINISH):
            wanted.runs.add(timer.subject)


def _load_past(tx: Tx, facts: Facts, reports: Sequence[Report], now: int) -> None:
    """Read the events that started the runs, and for waits that look back, what came before them."""
    runs = {report.run_id: run for report in reports if (run := facts.runs.get(report.run_id)) is not None}
    facts.events = tx.events({run.event_key for run in runs.values()})
    for report in reports:
        run, request = runs.get(report.run_id), report.request
        started_by = facts.events.get(run.event_key) if run is not None else None
        if run is None or started_by is None or not isinstance(request, WaitRequest):
            continue
        since = run.created_at if request.since_run else request.since
        if since is None or (run.id, report.step_key) in facts.entries:
            continue
        rows = rows_of_step(request.events, run_id=run.id, step_key=report.step_key, started_by=started_by)
        if not isinstance(rows, str):
            facts.past[run.id, report.step_key] = [
                _first_met(tx, row, run, started_by, since=since, now=now) for row in rows
            ]


def _first_met(tx: Tx, row: WaitRow, run: RunRow, started_by: EventRow, *, since: int, now: int) -> EventRow | None:
    """The first event since a moment that a row waits for, but for those that started its run."""
    own = (run.event_key,) if run.extra is None else (run.event_key, *run.extra.more_events)
    after_key = 0
    while page := tx.events_since(row.namespace, row.event, received_min=since, after_key=after_key, limit=_PAST_PAGE):
        for event in page:
            if event.key not in own and event.ts <= now and is_met(row, event, started_by):
                return event
        after_key = page[-1].key
    return None
