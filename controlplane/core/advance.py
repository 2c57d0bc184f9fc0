"""What a report, a timer, a lost lease or a cancellation does to a run: its next state, steps, timers, child events.

Every function changes the `Decision`, and nothing else. Which change is legal is told by `states.TRANSITIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from controlplane.core.awaiting import NULL, invoke_started, signal_sent, signal_wait_started, wait_started
from controlplane.core.decision import Decision, Incoming
from controlplane.core.ids import child_event_id, child_traceparent, step_span_id
from controlplane.core.lifecycle import (
    Refused,
    cancel,
    change,
    end,
    free,
    go_on,
    is_backing_off,
    is_blocked,
    record,
    wake,
)
from controlplane.core.limits import WAITED_EVENTS_MAX
from controlplane.core.reasons import Reason
from controlplane.core.records import (
    Ack,
    AckStatus,
    Failure,
    JournalRow,
    Report,
    ReportKind,
    RunRow,
    TimerKind,
    TimerRow,
)
from controlplane.core.retry import next_try
from controlplane.core.states import ENDED, RunChange, RunState, StepKind, StepState, after


def carry_out(d: Decision, report: Report, run: RunRow) -> Ack:
    """Do what an accepted report says; a run that is blocked by a step that is not there would never be woken."""
    unknown = [key for key in report.blocked_by if (run.id, key) not in d.entries]
    if unknown:
        message = f"blocked_by names {unknown[0]!r}, which is not recorded; report a step before parking on it"
        return Ack(report.run_id, report.epoch, "", AckStatus.REJECTED, None, "UNKNOWN_STEP", message)
    try:
        entry = _CARRY_OUT[report.kind](d, report, run)
    except Refused as refused:
        key = report.step_key
        return Ack(report.run_id, report.epoch, key, AckStatus.REJECTED, None, refused.reason, str(refused))
    return Ack(report.run_id, report.epoch, report.step_key, AckStatus.COMMITTED, entry)


def _step_completed(d: Decision, report: Report, run: RunRow) -> None:
    before = d.entries.get((run.id, report.step_key))
    record(
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
            d.moment_of(run.id),
        ),
        size=len(report.output),
    )


def _step_failed(d: Decision, report: Report, run: RunRow) -> JournalRow:
    before = d.entries.get((run.id, report.step_key))
    failures = (before.attempts if before else 0) + 1
    due_at = next_try(
        report.policy or d.functions[run.function_key].definition.retry,
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
        d.moment_of(run.id) if due_at is None else None,
        due_at,
    )
    record(d, run, entry)
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
        ended_at=d.moment_of(run.id) if is_over else None,
        due_at=due_at,
    )
    record(d, run, entry)
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
    d.incoming.append(Incoming(run.namespace, events, run.id, report.step_key, run.depth + 1))
    entry = JournalRow(
        run.id,
        report.step_key,
        StepKind.SEND_EVENTS,
        StepState.COMPLETED,
        1,
        started_at=report.started_at or d.now,
        ended_at=d.moment_of(run.id),
        event_ids=tuple(event.id for event in events),
    )
    record(d, run, entry)
    return entry


def _run_completed(d: Decision, report: Report, run: RunRow) -> None:
    # An earlier try may have failed: that is no longer what became of the run.
    end(d, run, RunChange.RETURNED, output=report.output, output_encoding=report.encoding, failure=None)


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
        end(d, run, RunChange.FAILED, attempt=run.attempt + 1, failure=report.failure)
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
            free(d, run, deliveries=0)
            return
        if entry.due_at is not None:
            due.append(entry.due_at)
    d.set_run(
        run._replace(
            state=after(run.state, RunChange.PARKED, run_id=run.id),
            session_id=None,
            due_at=min(due, default=None),
            deliveries=0,
            # It got beyond what failed, if anything had: see `is_backing_off`.
            failure=None,
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
    ReportKind.WAIT_STARTED: wait_started,
    ReportKind.INVOKE_STARTED: invoke_started,
    ReportKind.SIGNAL_WAIT_STARTED: signal_wait_started,
    ReportKind.SIGNAL_SENT: signal_sent,
}


def wake_step(d: Decision, timer: TimerRow) -> None:
    """A sleep is over, a step is to be tried again, or what it waits for did not come in time."""
    run = d.runs.get(timer.subject)
    entry = d.entries.get((timer.subject, timer.detail))
    if run is None or run.state in ENDED or entry is None or entry.due_at != timer.due_at or not is_blocked(entry):
        return
    if entry.kind is StepKind.RUN:
        entry = entry._replace(due_at=None)
        d.set_entry(entry)
    else:
        entry = change(d, run, entry, ended_at=d.moment_of(run.id), **_at_due_time(d, run, entry))
        run = d.runs[run.id]
    # A branch that nobody waits for any more wakes nobody.
    if run.state is not RunState.WAITING or (run.due_at is not None and run.due_at <= d.now):
        go_on(d, run, entry)


def _at_due_time(d: Decision, run: RunRow, entry: JournalRow) -> dict[str, Any]:
    """What becomes of a pending step at its due time."""
    match entry.kind:
        case StepKind.WAIT_FOR_EVENT:
            d.done_waits.update((run.id, entry.step_key, position) for position in range(WAITED_EVENTS_MAX))
            return {"state": StepState.COMPLETED, "output": NULL}
        case StepKind.WAIT_FOR_SIGNAL:
            d.set_signal((run.namespace, entry.target), None)
            return {"state": StepState.COMPLETED, "output": NULL}
        case StepKind.INVOKE:
            failure = Failure("TimedOut", f"{entry.target} did not end in time", reason=Reason.TIMED_OUT)
            return {"state": StepState.FAILED, "failure": failure}
        case _:
            return {"state": StepState.COMPLETED}


def wake_run(d: Decision, timer: TimerRow) -> None:
    """A body is to be tried again."""
    run = d.runs.get(timer.subject)
    if run is not None and is_backing_off(run) and run.due_at == timer.due_at:
        wake(d, run)


def time_out(d: Decision, timer: TimerRow) -> None:
    """A run has not started, or not ended, in time."""
    run = d.runs.get(timer.subject)
    if run is None or run.state in ENDED:
        return
    if timer.kind is TimerKind.FINISH:
        cancel(d, run, "it did not end in time after its start", Reason.TIMED_OUT)
    elif run.started_at is None:
        cancel(d, run, "it did not start in time", Reason.TIMED_OUT)
