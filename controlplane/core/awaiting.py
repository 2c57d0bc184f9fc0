"""The steps that wait for others: for an event, for a function that they invoke, for a signal."""

from __future__ import annotations

from typing import Final

import orjson

from controlplane.core.decision import Decision, Incoming
from controlplane.core.definition import FunctionState
from controlplane.core.ids import child_event_id, child_traceparent, step_span_id
from controlplane.core.lifecycle import Refused, change, conclude, is_blocked, record
from controlplane.core.limits import WAITED_EVENTS_MAX
from controlplane.core.reasons import Reason
from controlplane.core.records import EventRow, Failure, JournalRow, NewEvent, Report, RunRow, SignalRow, WaitRow
from controlplane.core.requests import InvokeRequest, SignalRequest, SignalWaitRequest, WaitRequest
from controlplane.core.states import ENDED, StepKind, StepState
from controlplane.core.waits import event_json, events_json, join_json, rows_of_step, split_json

#: The event that starts a run by an invocation. It is the server's own, as all of its prefix.
EVENT_INVOKED: Final = "steplane/function.invoked"
NULL: Final = b"null"


def wait_started(d: Decision, report: Report, run: RunRow) -> JournalRow:
    """A step waits for events, from this commit on; what came before counts if it asks for that."""
    request = report.request
    assert isinstance(request, WaitRequest)
    rows = rows_of_step(request.events, run_id=run.id, step_key=report.step_key, started_by=d.events[run.event_key])
    if isinstance(rows, str):
        raise Refused("INVALID_WAIT", rows)
    past = d.past.get((run.id, report.step_key)) or [None] * len(rows)
    came = [event for event in past if event is not None]
    output = None
    if request.all_of:
        output = events_json(past)
        rows = [row for row, event in zip(rows, past, strict=True) if event is None]
    elif came:
        output = event_json(min(came, key=lambda event: event.key))
        rows = []
    entry = _pending(d, report, StepKind.WAIT_FOR_EVENT, timeout=request.timeout)
    entry = entry._replace(output=output, target=", ".join(dict.fromkeys(waited.event for waited in request.events)))
    if not rows:
        entry = entry._replace(state=StepState.COMPLETED, ended_at=d.moment_of(run.id))
    d.new_waits += rows
    record(d, run, entry, size=len(output or b""), has_waits=bool(rows))
    return entry


def meet(d: Decision, row: WaitRow, event: EventRow) -> None:
    """An event came that a step waits for."""
    entry = d.entries.get((row.run_id, row.step_key))
    if entry is None or not is_blocked(entry):
        return
    if entry.output is None:
        d.done_waits.update((row.run_id, row.step_key, position) for position in range(WAITED_EVENTS_MAX))
        conclude(d, entry, state=StepState.COMPLETED, output=event_json(event))
        return
    came = split_json(entry.output)
    if came[row.position] != NULL:
        return
    d.done_waits.add((row.run_id, row.step_key, row.position))
    came[row.position] = event_json(event)
    is_over = NULL not in came
    run = d.runs[row.run_id]
    if not is_over and run.journal_bytes + len(came[row.position]) <= d.limits.journal_bytes_max:
        change(d, run, entry, output=join_json(came))
    else:
        conclude(d, entry, state=StepState.COMPLETED, output=join_json(came))


def invoke_started(d: Decision, report: Report, run: RunRow) -> JournalRow:
    """A step invokes a function: an event that starts it, and nothing else but who listens to such events."""
    request = report.request
    assert isinstance(request, InvokeRequest)
    app_id = request.app_id or d.functions[run.function_key].definition.app_id
    entry = _pending(d, report, StepKind.INVOKE, timeout=request.timeout)
    entry = entry._replace(target=f"{app_id}/{request.function_id}")
    function = d.functions_by_name.get((run.namespace, app_id, request.function_id))
    if function is None or function.state in (FunctionState.DISABLED, FunctionState.DELETED):
        message = f"there is no function {entry.target}, or it is disabled; its worker registers it when it connects"
        return _fail(d, run, entry, Failure("FunctionNotFound", message, reason=Reason.FUNCTION_NOT_FOUND))
    event = NewEvent(
        child_event_id(run.id, report.step_key, 0),
        EVENT_INVOKED,
        request.data,
        request.encoding,
        None,
        child_traceparent(run.traceparent, step_span_id(run.id, report.step_key)),
        run.tracestate,
    )
    incoming = Incoming(run.namespace, (event,), run.id, report.step_key, run.depth + 1, function, is_invoke=True)
    d.incoming.append(incoming)
    entry = entry._replace(event_ids=(event.id,))
    record(d, run, entry)
    return entry


def signal_wait_started(d: Decision, report: Report, run: RunRow) -> JournalRow:
    """A step waits for a signal, which no other step may wait for."""
    request = report.request
    assert isinstance(request, SignalWaitRequest)
    key = (run.namespace, request.signal)
    entry = _pending(d, report, StepKind.WAIT_FOR_SIGNAL, timeout=request.timeout)._replace(target=request.signal)
    other = d.signals.get(key)
    if other is not None and not request.replaces:
        message = f"run {other.run_id} waits for signal {request.signal!r} already; give it a unique name, or replace"
        return _fail(d, run, entry, Failure("SignalInUse", message, reason=Reason.SIGNAL_IN_USE))
    loser = d.entries.get((other.run_id, other.step_key)) if other is not None else None
    if loser is not None and is_blocked(loser):
        message = f"run {run.id} waits for signal {request.signal!r} in its place"
        failure = Failure("SignalReplaced", message, step_key=loser.step_key, reason=Reason.SIGNAL_REPLACED)
        conclude(d, loser, state=StepState.FAILED, failure=failure)
    d.set_signal(key, SignalRow(run.namespace, request.signal, run.id, report.step_key))
    # It may have replaced a wait of its own run.
    record(d, d.runs[run.id], entry, has_waits=True)
    return entry


def signal_sent(d: Decision, report: Report, run: RunRow) -> JournalRow:
    """A step sends a signal."""
    request = report.request
    assert isinstance(request, SignalRequest)
    entry = _pending(d, report, StepKind.SEND_SIGNAL, timeout=None)._replace(attempts=1, target=request.signal)
    waiting = give_signal(d, run.namespace, request)
    # A sibling of the step may have waited for it.
    run = d.runs[run.id]
    if waiting is None:
        message = f"nobody waits for signal {request.signal!r}"
        return _fail(d, run, entry, Failure("SignalNotFound", message, reason=Reason.SIGNAL_NOT_FOUND))
    output = orjson.dumps(waiting)
    entry = entry._replace(state=StepState.COMPLETED, output=output, ended_at=d.moment_of(run.id), other_run_id=waiting)
    record(d, run, entry, size=len(output))
    return entry


def give_signal(d: Decision, namespace: str, request: SignalRequest) -> str | None:
    """Give a signal to the step that waits for it. The result is the id of its run; `None` if nobody does."""
    key = (namespace, request.signal)
    waiting = d.signals.get(key)
    entry = d.entries.get((waiting.run_id, waiting.step_key)) if waiting is not None else None
    run = d.runs.get(waiting.run_id) if waiting is not None else None
    if entry is None or run is None or run.state in ENDED or not is_blocked(entry):
        return None
    d.set_signal(key, None)
    conclude(d, entry, state=StepState.COMPLETED, output=request.data, output_encoding=request.encoding)
    return run.id


def _pending(d: Decision, report: Report, kind: StepKind, *, timeout: int | None) -> JournalRow:
    return JournalRow(
        report.run_id,
        report.step_key,
        kind,
        StepState.PENDING,
        started_at=report.started_at or d.now,
        due_at=None if timeout is None else d.now + timeout,
    )


def _fail(d: Decision, run: RunRow, entry: JournalRow, failure: Failure) -> JournalRow:
    """The step fails at once, and for good."""
    entry = entry._replace(
        state=StepState.FAILED,
        failure=failure._replace(step_key=entry.step_key),
        ended_at=d.moment_of(run.id),
        due_at=None,
    )
    record(d, run, entry)
    return entry
