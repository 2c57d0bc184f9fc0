"""Protobuf ⇄ records: events, runs, steps, functions. What goes over a worker's stream is in `reports.py` and `frames.py`.

These are hot paths: fields are set one by one, which is faster than by keyword, and those that are empty are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.core.definition import CronTrigger, Definition, EventTrigger, FunctionRow, Options, RetryPolicy
from controlplane.core.ids import child_traceparent, step_span_id
from controlplane.core.limits import SECOND
from controlplane.core.records import EventRow, Failure, JournalRow, NewEvent, RunRow
from controlplane.core.retry import DEFAULT as DEFAULT_RETRY
from controlplane.core.states import RunState, StepState
from controlplane.gen.steplane.v1 import event_pb2, function_pb2, payload_pb2, run_pb2
from controlplane.store.interface import RunView

_BLOCKED = frozenset({StepState.PENDING, StepState.RETRYING})


def set_moment(message: Timestamp, moment: int) -> None:
    """Set a time stamp to a moment in microseconds."""
    seconds, micros = divmod(moment, SECOND)
    message.seconds = seconds
    message.nanos = micros * 1000


def moment_of(message: Timestamp) -> int:
    """A time stamp's moment in microseconds; one that is unset is 0."""
    return message.seconds * SECOND + message.nanos // 1000


def set_duration(message: Duration, duration: int) -> None:
    """Set a duration, in microseconds, that is not negative."""
    seconds, micros = divmod(duration, SECOND)
    message.seconds = seconds
    message.nanos = micros * 1000


def duration_of(message: Duration) -> int:
    """A duration in microseconds; one that is unset is 0."""
    return message.seconds * SECOND + message.nanos // 1000


# Events


def new_events(
    messages: Iterable[event_pb2.Event], traceparent: str = "", tracestate: str = ""
) -> tuple[NewEvent, ...]:
    """Events on their way in, not yet checked; those without a trace context get the one given here."""
    return tuple([_new_event(message, traceparent, tracestate) for message in messages])


def _new_event(message: event_pb2.Event, traceparent: str, tracestate: str) -> NewEvent:
    payload = message.data
    encoding = payload.encoding
    own = message.traceparent
    if own:
        traceparent, tracestate = own, message.tracestate
    return NewEvent(
        message.id,
        message.name,
        event_data(payload.data, encoding),
        encoding,
        moment_of(message.ts) if message.HasField("ts") else None,
        traceparent,
        tracestate,
    )


def event_data(data: bytes, encoding: str) -> bytes:
    """The data of an event: nothing at all means an empty object."""
    return data or (b"{}" if encoding in ("", "json") else b"")


def fill_event(message: event_pb2.Event, row: EventRow) -> None:
    """Write an event down."""
    message.id = row.id
    message.name = row.name
    payload = message.data
    payload.data = row.data
    if row.encoding:
        payload.encoding = row.encoding
    set_moment(message.ts, row.ts)
    message.traceparent = row.traceparent
    if row.tracestate:
        message.tracestate = row.tracestate


def event_record(row: EventRow) -> run_pb2.EventRecord:
    """An event, with where it came from."""
    message = run_pb2.EventRecord()
    fill_event(message.event, row)
    set_moment(message.receive_time, row.received_at)
    if row.source_run_id is not None:
        message.source_run_id = row.source_run_id
        message.source_step_key = row.source_step_key or ""
    message.depth = row.depth
    return message


# Runs and their steps


def run_message(view: RunView, need: run_pb2.RunNeed = run_pb2.RUN_NEED_TURN) -> run_pb2.Run:
    """A run, with its output if it has been read. `need` is what it waits for, if it is queued."""
    run = view.run
    message = run_pb2.Run(
        id=run.id,
        namespace=run.namespace,
        app_id=view.app_id,
        function_id=view.function_id,
        state=int(run.state),  # type: ignore[arg-type]  # the numbers are those of the wire
        event_id=view.event_id,
        event_name=view.event_name,
        epoch=run.epoch,
        attempt=run.attempt,
        step_count=run.step_count,
        traceparent=run.traceparent,
        deliveries=run.deliveries,
    )
    set_moment(message.create_time, run.created_at)
    if run.state is RunState.QUEUED:
        message.need = need
        set_moment(message.queue_time, run.queued_at)
    if view.more_event_ids:
        message.event_ids.extend((view.event_id, *view.more_event_ids))
    if run.extra is not None:
        message.replay_of = run.extra.replay_of
    if run.started_at is not None:
        set_moment(message.start_time, run.started_at)
    if run.ended_at is not None:
        set_moment(message.end_time, run.ended_at)
    if run.due_at is not None:
        set_moment(message.due_time, run.due_at)
    if run.output is not None:
        fill_payload(message.output, run.output, run.output_encoding)
    if run.failure is not None:
        fill_failure(message.failure, run.failure)
    return message


def journal_messages(run: RunRow, rows: Iterable[JournalRow]) -> list[run_pb2.JournalEntry]:
    """The recorded steps of a run, each with its trace context."""
    messages = []
    for row in rows:
        message = run_pb2.JournalEntry(
            traceparent=child_traceparent(run.traceparent, step_span_id(run.id, row.step_key))
        )
        fill_entry(message, row)
        messages.append(message)
    return messages


def fill_entry(message: run_pb2.JournalEntry, row: JournalRow) -> None:
    """Write a recorded step down, without its trace context."""
    message.step_key = row.step_key
    message.kind = int(row.kind)  # type: ignore[assignment]  # the numbers are those of the wire
    message.state = int(row.state)  # type: ignore[assignment]  # the same
    if row.output is not None:
        fill_payload(message.output, row.output, row.output_encoding)
    if row.failure is not None:
        fill_failure(message.failure, row.failure)
    if row.attempts:
        message.attempts = row.attempts
    if row.started_at:
        set_moment(message.start_time, row.started_at)
    if row.ended_at is not None:
        set_moment(message.end_time, row.ended_at)
    if row.due_at is not None and row.state in _BLOCKED:
        set_moment(message.due_time, row.due_at)
    if row.event_ids:
        message.event_ids.extend(row.event_ids)
    if row.other_run_id:
        message.run_id = row.other_run_id
    if row.target:
        message.target = row.target


def fill_payload(message: payload_pb2.Payload, data: bytes, encoding: str) -> None:
    """Write a value down."""
    message.data = data
    if encoding:
        message.encoding = encoding


def fill_failure(message: payload_pb2.Failure, failure: Failure) -> None:
    """Write a failure down."""
    message.name = failure.name
    message.message = failure.message
    message.stack = failure.stack
    message.step_key = failure.step_key
    if failure.reason:
        message.reason = failure.reason


# Functions


def definition_of(message: function_pb2.FunctionDefinition, options: Options) -> Definition:
    """A checked definition, with every default filled in."""
    return Definition(
        message.app_id,
        message.function_id,
        message.name or message.function_id,
        tuple(_trigger_of(trigger) for trigger in message.triggers),
        retry_of(message.retry),
        options,
    )


def _trigger_of(message: function_pb2.Trigger) -> EventTrigger | CronTrigger:
    if message.HasField("event"):
        return EventTrigger(message.event.event, message.event.expression)
    return CronTrigger(message.cron.cron, message.cron.time_zone or "UTC")


def retry_of(message: function_pb2.RetryPolicy) -> RetryPolicy:
    """A checked retry policy, with every default filled in."""
    return RetryPolicy(
        message.retries if message.HasField("retries") else DEFAULT_RETRY.retries,
        tuple(duration_of(delay) for delay in message.delays) or DEFAULT_RETRY.delays,
        duration_of(message.jitter) if message.HasField("jitter") else DEFAULT_RETRY.jitter,
    )


def function_message(row: FunctionRow, *, live_sessions: int) -> function_pb2.Function:
    """A function, and how many sessions serve it."""
    message = function_pb2.Function(
        namespace=row.namespace,
        version=row.version,
        live_sessions=live_sessions,
        state=int(row.state),  # type: ignore[arg-type]  # the numbers are those of the wire
    )
    _fill_definition(message.definition, row.definition)
    set_moment(message.create_time, row.created_at)
    set_moment(message.update_time, row.updated_at)
    return message


def _fill_definition(message: function_pb2.FunctionDefinition, definition: Definition) -> None:
    message.app_id = definition.app_id
    message.function_id = definition.function_id
    message.name = definition.name
    for trigger in definition.triggers:
        match trigger:
            case EventTrigger():
                message.triggers.add().event.MergeFrom(
                    function_pb2.EventTrigger(event=trigger.event, expression=trigger.expression)
                )
            case CronTrigger():
                message.triggers.add().cron.MergeFrom(
                    function_pb2.CronTrigger(cron=trigger.cron, time_zone=trigger.time_zone)
                )
    message.retry.retries = definition.retry.retries
    for delay in definition.retry.delays:
        set_duration(message.retry.delays.add(), delay)
    set_duration(message.retry.jitter, definition.retry.jitter)
