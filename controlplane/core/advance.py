"""What a report, a timer, a lost lease or a cancellation does to a run: its next state, steps, timers, child events.

Every function changes the `Decision`, and nothing else. Which change is legal is told by `states.TRANSITIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controlplane.core.decision import Decision, Incoming
from controlplane.core.ids import child_event_id, child_traceparent, step_span_id
from controlplane.core.records import (
    Ack,
    AckStatus,
    Cancellation,
    Failure,
    JournalRow,
    Report,
    ReportKind,
    Resolution,
    RunRow,
    TimerKind,
    TimerRow,
    with_progress,
)
from controlplane.core.retry import next_try
from controlplane.core.states import ENDED, RunChange, RunState, StepKind, StepState, after


def carry_out(d: Decision, report: Report, run: RunRow) -> Ack:
    """Do what an accepted report says; a run that is blocked by a step that is not there would never be woken."""
    unknown = [key for key in report.blocked_by if (run.id, key) not in d.entries]
    if unknown:
        message = f"blocked_by names {unknown[0]!r}, which is not recorded; report a step before parking on it"
        return Ack(report.run_id, report.epoch, "", AckStatus.REJECTED, None, "UNKNOWN_STEP", message)
    entry = _CARRY_OUT[report.kind](d, report, run)
    return Ack(report.run_id, report.epoch, report.step_key, AckStatus.COMMITTED, entry)


def _step_completed(d: Decision, report: Report, run: RunRow) -> None:
    before = d.entries.get((run.id, report.step_key))
    _record(
        d,
        run,
        JournalRow(
            run.id,
            report.step_key,
            StepKind.RUN,
            StepState.COMPLETED,
            (before.attempts if before else 0) + 1,
            report.output,
            report.encoding,
            None,
            before.started_at if before else report.started_at or d.now,
            d.now,
        ),
        size=len(report.output),
    )


def _step_failed(d: Decision, report: Report, run: RunRow) -> JournalRow:
    before = d.entries.get((run.id, report.step_key))
    failures = (before.attempts if before else 0) + 1
    due_at = next_try(
        d.functions[run.function_key].definition.retry,
        failures=failures,
        never=report.retry_never,
        after=report.retry_after,
        now=d.now,
        rng=d.rng,
    )
    entry = JournalRow(
        run.id,
        report.step_key,
        StepKind.RUN,
        StepState.FAILED if due_at is None else StepState.RETRYING,
        failures,
        None,
        "",
        report.failure,
        before.started_at if before else report.started_at or d.now,
        d.now if due_at is None else None,
        due_at,
    )
    _record(d, run, entry)
    return entry


def _sleep_started(d: Decision, report: Report, run: RunRow) -> JournalRow:
    due_at = d.now + report.sleep_for if report.sleep_for is not None else (report.sleep_until or 0)
    is_over = due_at <= d.now
    entry = JournalRow(
        run.id,
        report.step_key,
        StepKind.SLEEP,
        StepState.COMPLETED if is_over else StepState.PENDING,
        started_at=d.now,
        ended_at=d.now if is_over else None,
        due_at=due_at,
    )
    _record(d, run, entry)
    return entry


def _events_sent(d: Decision, report: Report, run: RunRow) -> JournalRow:
    # Guarantee 4: the events go down the street in this very transaction, or a crash would send them twice.
    traceparent = child_traceparent(run.traceparent, step_span_id(run.id, report.step_key))
    events = tuple(
        event._replace(
            id=event.id or child_event_id(run.id, report.step_key, index),
            traceparent=traceparent,
            tracestate=run.tracestate,
        )
        for index, event in enumerate(report.events)
    )
    d.incoming.append(Incoming(run.namespace, events, run.id, report.step_key))
    entry = JournalRow(
        run.id,
        report.step_key,
        StepKind.SEND_EVENTS,
        StepState.COMPLETED,
        1,
        started_at=report.started_at or d.now,
        ended_at=d.now,
        event_ids=tuple(event.id for event in events),
    )
    _record(d, run, entry)
    return entry


def _run_completed(d: Decision, report: Report, run: RunRow) -> None:
    # An earlier try may have failed: that is no longer what became of the run.
    _end(d, run, RunChange.RETURNED, output=report.output, output_encoding=report.encoding, failure=None)


def _run_failed(d: Decision, report: Report, run: RunRow) -> None:
    due_at = next_try(
        d.functions[run.function_key].definition.retry,
        failures=run.attempt + 1,
        never=report.retry_never,
        after=report.retry_after,
        now=d.now,
        rng=d.rng,
    )
    if due_at is None:
        _end(d, run, RunChange.FAILED, attempt=run.attempt + 1, failure=report.failure)
        return
    d.new_timers.append(TimerRow(due_at, TimerKind.RUN, run.id))
    d.set_run(
        run._replace(
            state=after(run.state, RunChange.BACKED_OFF, run_id=run.id),
            attempt=run.attempt + 1,
            failure=report.failure,
            session_id=None,
            due_at=due_at,
            has_timers=True,
            deliveries=0,
        )
    )


def _run_parked(d: Decision, report: Report, run: RunRow) -> None:
    due = []
    for step_key in report.blocked_by:
        entry = d.entries[run.id, step_key]
        if not is_blocked(entry):
            # What the worker waits for came while its report was on the way: it goes on at once.
            free(d, run)
            return
        if entry.due_at is not None:
            due.append(entry.due_at)
    d.set_run(
        run._replace(
            state=after(run.state, RunChange.PARKED, run_id=run.id),
            session_id=None,
            due_at=min(due, default=None),
            deliveries=0,
        )
    )


_CARRY_OUT: Final[dict[ReportKind, Callable[[Decision, Report, RunRow], JournalRow | None]]] = {
    ReportKind.STEP_COMPLETED: _step_completed,
    ReportKind.STEP_FAILED: _step_failed,
    ReportKind.SLEEP_STARTED: _sleep_started,
    ReportKind.EVENTS_SENT: _events_sent,
    ReportKind.RUN_COMPLETED: _run_completed,
    ReportKind.RUN_FAILED: _run_failed,
    ReportKind.RUN_PARKED: _run_parked,
}


def is_blocked(entry: JournalRow) -> bool:
    """Whether a branch has to wait at this step: a retry's due time is taken away when it has come."""
    return entry.state is StepState.PENDING or (entry.state is StepState.RETRYING and entry.due_at is not None)


def free(d: Decision, run: RunRow) -> None:
    """End a lease without an outcome; the run keeps its place in the queue, and no attempt is used up."""
    d.set_run(run._replace(state=after(run.state, RunChange.FREED, run_id=run.id), session_id=None))


def cancel(d: Decision, run: RunRow, reason: str) -> None:
    """End a run, whatever it is doing; a live invocation is told to stop."""
    if run.session_id is not None:
        d.cancellations.append((run.session_id, Cancellation(run.id, run.epoch, reason)))
    _end(d, run, RunChange.CANCELLED, failure=Failure("Cancelled", reason))


def wake_step(d: Decision, timer: TimerRow) -> None:
    """A sleep is over, or a step is to be tried again."""
    run = d.runs.get(timer.subject)
    entry = d.entries.get((timer.subject, timer.detail))
    if run is None or run.state in ENDED or entry is None or entry.due_at != timer.due_at:
        return
    if entry.kind is StepKind.SLEEP:
        entry = entry._replace(state=StepState.COMPLETED, ended_at=d.now)
    else:
        entry = entry._replace(due_at=None)
    d.set_entry(entry)
    if run.state is RunState.WAITING:
        # A body that backs off waits for its own moment: a sleep of an earlier try does not end that.
        if run.due_at is not None and run.due_at <= d.now:
            _wake(d, run)
    elif run.session_id is not None:
        d.resolutions.append((run.session_id, Resolution(run.id, run.epoch, entry)))


def wake_run(d: Decision, timer: TimerRow) -> None:
    """A body is to be tried again."""
    run = d.runs.get(timer.subject)
    if run is not None and run.state is RunState.WAITING and run.due_at == timer.due_at:
        _wake(d, run)


def _wake(d: Decision, run: RunRow) -> None:
    d.set_run(run._replace(state=after(run.state, RunChange.WOKEN, run_id=run.id), queued_at=d.now, due_at=None))


def _record(d: Decision, run: RunRow, entry: JournalRow, *, size: int = 0) -> None:
    is_timed = entry.due_at is not None and entry.ended_at is None
    if is_timed and entry.due_at is not None:
        d.new_timers.append(TimerRow(entry.due_at, TimerKind.STEP, run.id, entry.step_key))
    is_new = (run.id, entry.step_key) not in d.entries
    d.set_entry(entry)
    d.set_run(
        with_progress(
            run,
            step_count=run.step_count + is_new,
            journal_bytes=run.journal_bytes + size,
            has_timers=run.has_timers or is_timed,
        )
    )


def _end(d: Decision, run: RunRow, change: RunChange, **values: object) -> None:
    if run.has_timers:
        d.runs_without_timers.append(run.id)
    d.set_run(
        run._replace(
            state=after(run.state, change, run_id=run.id),
            session_id=None,
            due_at=None,
            ended_at=d.now,
            **values,  # type: ignore[arg-type]  # checked by _replace itself
        )
    )
