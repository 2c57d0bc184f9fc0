import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from steplane.gen.steplane.v1 import event_pb2 as _event_pb2
from steplane.gen.steplane.v1 import function_pb2 as _function_pb2
from steplane.gen.steplane.v1 import payload_pb2 as _payload_pb2
from steplane.gen.steplane.v1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignalConflict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNAL_CONFLICT_UNSPECIFIED: _ClassVar[SignalConflict]
    SIGNAL_CONFLICT_FAIL: _ClassVar[SignalConflict]
    SIGNAL_CONFLICT_REPLACE: _ClassVar[SignalConflict]

class AckStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACK_STATUS_UNSPECIFIED: _ClassVar[AckStatus]
    ACK_STATUS_COMMITTED: _ClassVar[AckStatus]
    ACK_STATUS_DUPLICATE: _ClassVar[AckStatus]
    ACK_STATUS_STALE_EPOCH: _ClassVar[AckStatus]
    ACK_STATUS_RUN_ENDED: _ClassVar[AckStatus]
    ACK_STATUS_REJECTED: _ClassVar[AckStatus]
SIGNAL_CONFLICT_UNSPECIFIED: SignalConflict
SIGNAL_CONFLICT_FAIL: SignalConflict
SIGNAL_CONFLICT_REPLACE: SignalConflict
ACK_STATUS_UNSPECIFIED: AckStatus
ACK_STATUS_COMMITTED: AckStatus
ACK_STATUS_DUPLICATE: AckStatus
ACK_STATUS_STALE_EPOCH: AckStatus
ACK_STATUS_RUN_ENDED: AckStatus
ACK_STATUS_REJECTED: AckStatus

class PollWorkRequest(_message.Message):
    __slots__ = ("hello", "max_invocations", "wait")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    MAX_INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    max_invocations: int
    wait: _duration_pb2.Duration
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., max_invocations: _Optional[int] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PollWorkResponse(_message.Message):
    __slots__ = ("welcome", "invocations", "cancellations")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    CANCELLATIONS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    invocations: _containers.RepeatedCompositeFieldContainer[Invocation]
    cancellations: _containers.RepeatedCompositeFieldContainer[Cancellation]
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., invocations: _Optional[_Iterable[_Union[Invocation, _Mapping]]] = ..., cancellations: _Optional[_Iterable[_Union[Cancellation, _Mapping]]] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("namespace", "reports", "held")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    held: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, namespace: _Optional[str] = ..., reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ..., held: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ("acks", "stop", "cancellations")
    ACKS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    CANCELLATIONS_FIELD_NUMBER: _ClassVar[int]
    acks: _containers.RepeatedCompositeFieldContainer[Ack]
    stop: _containers.RepeatedCompositeFieldContainer[Lease]
    cancellations: _containers.RepeatedCompositeFieldContainer[Cancellation]
    def __init__(self, acks: _Optional[_Iterable[_Union[Ack, _Mapping]]] = ..., stop: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ..., cancellations: _Optional[_Iterable[_Union[Cancellation, _Mapping]]] = ...) -> None: ...

class StreamWorkRequest(_message.Message):
    __slots__ = ("hello", "credit", "reports", "heartbeat", "release", "drain")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    credit: Credit
    reports: Reports
    heartbeat: Heartbeat
    release: Release
    drain: Drain
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., reports: _Optional[_Union[Reports, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class StreamWorkResponse(_message.Message):
    __slots__ = ("welcome", "invocations", "acks", "resolutions", "cancellations", "heartbeat_ack", "drain", "drain_ack", "journal_part")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    CANCELLATIONS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_ACK_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    DRAIN_ACK_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_PART_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    invocations: Invocations
    acks: Acks
    resolutions: Resolutions
    cancellations: Cancellations
    heartbeat_ack: HeartbeatAck
    drain: ServerDrain
    drain_ack: DrainAck
    journal_part: JournalPart
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., invocations: _Optional[_Union[Invocations, _Mapping]] = ..., acks: _Optional[_Union[Acks, _Mapping]] = ..., resolutions: _Optional[_Union[Resolutions, _Mapping]] = ..., cancellations: _Optional[_Union[Cancellations, _Mapping]] = ..., heartbeat_ack: _Optional[_Union[HeartbeatAck, _Mapping]] = ..., drain: _Optional[_Union[ServerDrain, _Mapping]] = ..., drain_ack: _Optional[_Union[DrainAck, _Mapping]] = ..., journal_part: _Optional[_Union[JournalPart, _Mapping]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("run_id", "epoch")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("namespace", "app_id", "function_ids", "instance_id", "sdk", "language", "held")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_IDS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SDK_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    function_ids: _containers.RepeatedScalarFieldContainer[str]
    instance_id: str
    sdk: str
    language: str
    held: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., function_ids: _Optional[_Iterable[str]] = ..., instance_id: _Optional[str] = ..., sdk: _Optional[str] = ..., language: _Optional[str] = ..., held: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "heartbeat_interval", "session_timeout", "resumed", "limits", "server")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SESSION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    heartbeat_interval: _duration_pb2.Duration
    session_timeout: _duration_pb2.Duration
    resumed: _containers.RepeatedCompositeFieldContainer[Lease]
    limits: Limits
    server: str
    def __init__(self, session_id: _Optional[str] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., session_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., resumed: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., server: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("event_bytes_max", "batch_events_max", "batch_bytes_max", "step_output_bytes_max", "journal_bytes_max", "run_steps_max", "frame_bytes_max")
    EVENT_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    BATCH_EVENTS_MAX_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    STEP_OUTPUT_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    RUN_STEPS_MAX_FIELD_NUMBER: _ClassVar[int]
    FRAME_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    event_bytes_max: int
    batch_events_max: int
    batch_bytes_max: int
    step_output_bytes_max: int
    journal_bytes_max: int
    run_steps_max: int
    frame_bytes_max: int
    def __init__(self, event_bytes_max: _Optional[int] = ..., batch_events_max: _Optional[int] = ..., batch_bytes_max: _Optional[int] = ..., step_output_bytes_max: _Optional[int] = ..., journal_bytes_max: _Optional[int] = ..., run_steps_max: _Optional[int] = ..., frame_bytes_max: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("invocation_limit",)
    INVOCATION_LIMIT_FIELD_NUMBER: _ClassVar[int]
    invocation_limit: int
    def __init__(self, invocation_limit: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("held",)
    HELD_FIELD_NUMBER: _ClassVar[int]
    held: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, held: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class HeartbeatAck(_message.Message):
    __slots__ = ("stop",)
    STOP_FIELD_NUMBER: _ClassVar[int]
    stop: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, stop: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    def __init__(self, leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DrainAck(_message.Message):
    __slots__ = ("invocation_count",)
    INVOCATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    invocation_count: int
    def __init__(self, invocation_count: _Optional[int] = ...) -> None: ...

class ServerDrain(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Invocations(_message.Message):
    __slots__ = ("invocations",)
    INVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    invocations: _containers.RepeatedCompositeFieldContainer[Invocation]
    def __init__(self, invocations: _Optional[_Iterable[_Union[Invocation, _Mapping]]] = ...) -> None: ...

class Invocation(_message.Message):
    __slots__ = ("run_id", "epoch", "function_id", "events", "attempt", "journal", "journal_remaining", "traceparent", "tracestate", "attempts_max")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_REMAINING_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_MAX_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    function_id: str
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    attempt: int
    journal: _containers.RepeatedCompositeFieldContainer[_run_pb2.JournalEntry]
    journal_remaining: int
    traceparent: str
    tracestate: str
    attempts_max: int
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., function_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., attempt: _Optional[int] = ..., journal: _Optional[_Iterable[_Union[_run_pb2.JournalEntry, _Mapping]]] = ..., journal_remaining: _Optional[int] = ..., traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ..., attempts_max: _Optional[int] = ...) -> None: ...

class JournalPart(_message.Message):
    __slots__ = ("run_id", "epoch", "entries")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    entries: _containers.RepeatedCompositeFieldContainer[_run_pb2.JournalEntry]
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[_run_pb2.JournalEntry, _Mapping]]] = ...) -> None: ...

class Reports(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    def __init__(self, reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("run_id", "epoch", "step_key", "start_time", "step_completed", "step_failed", "sleep_started", "events_sent", "run_completed", "run_failed", "run_parked", "wait_started", "invoke_started", "signal_wait_started", "signal_sent")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_KEY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STEP_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    STEP_FAILED_FIELD_NUMBER: _ClassVar[int]
    SLEEP_STARTED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_SENT_FIELD_NUMBER: _ClassVar[int]
    RUN_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    RUN_FAILED_FIELD_NUMBER: _ClassVar[int]
    RUN_PARKED_FIELD_NUMBER: _ClassVar[int]
    WAIT_STARTED_FIELD_NUMBER: _ClassVar[int]
    INVOKE_STARTED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_WAIT_STARTED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_SENT_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    step_key: str
    start_time: _timestamp_pb2.Timestamp
    step_completed: StepCompleted
    step_failed: StepFailed
    sleep_started: SleepStarted
    events_sent: EventsSent
    run_completed: RunCompleted
    run_failed: RunFailed
    run_parked: RunParked
    wait_started: WaitStarted
    invoke_started: InvokeStarted
    signal_wait_started: SignalWaitStarted
    signal_sent: SignalSent
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., step_key: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step_completed: _Optional[_Union[StepCompleted, _Mapping]] = ..., step_failed: _Optional[_Union[StepFailed, _Mapping]] = ..., sleep_started: _Optional[_Union[SleepStarted, _Mapping]] = ..., events_sent: _Optional[_Union[EventsSent, _Mapping]] = ..., run_completed: _Optional[_Union[RunCompleted, _Mapping]] = ..., run_failed: _Optional[_Union[RunFailed, _Mapping]] = ..., run_parked: _Optional[_Union[RunParked, _Mapping]] = ..., wait_started: _Optional[_Union[WaitStarted, _Mapping]] = ..., invoke_started: _Optional[_Union[InvokeStarted, _Mapping]] = ..., signal_wait_started: _Optional[_Union[SignalWaitStarted, _Mapping]] = ..., signal_sent: _Optional[_Union[SignalSent, _Mapping]] = ...) -> None: ...

class StepCompleted(_message.Message):
    __slots__ = ("output", "attempt")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    output: _payload_pb2.Payload
    attempt: int
    def __init__(self, output: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class StepFailed(_message.Message):
    __slots__ = ("failure", "attempt", "retry", "policy")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    failure: _payload_pb2.Failure
    attempt: int
    retry: RetryDirective
    policy: _function_pb2.RetryPolicy
    def __init__(self, failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., attempt: _Optional[int] = ..., retry: _Optional[_Union[RetryDirective, _Mapping]] = ..., policy: _Optional[_Union[_function_pb2.RetryPolicy, _Mapping]] = ...) -> None: ...

class SleepStarted(_message.Message):
    __slots__ = ("duration", "due_time")
    DURATION_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    duration: _duration_pb2.Duration
    due_time: _timestamp_pb2.Timestamp
    def __init__(self, duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EventsSent(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class WaitStarted(_message.Message):
    __slots__ = ("events", "all_of", "timeout", "since", "since_run")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_RUN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[WaitedEvent]
    all_of: bool
    timeout: _duration_pb2.Duration
    since: _timestamp_pb2.Timestamp
    since_run: bool
    def __init__(self, events: _Optional[_Iterable[_Union[WaitedEvent, _Mapping]]] = ..., all_of: _Optional[bool] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., since_run: _Optional[bool] = ...) -> None: ...

class WaitedEvent(_message.Message):
    __slots__ = ("event", "match", "expression")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    event: str
    match: str
    expression: str
    def __init__(self, event: _Optional[str] = ..., match: _Optional[str] = ..., expression: _Optional[str] = ...) -> None: ...

class InvokeStarted(_message.Message):
    __slots__ = ("app_id", "function_id", "data", "timeout")
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    app_id: str
    function_id: str
    data: _payload_pb2.Payload
    timeout: _duration_pb2.Duration
    def __init__(self, app_id: _Optional[str] = ..., function_id: _Optional[str] = ..., data: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SignalWaitStarted(_message.Message):
    __slots__ = ("signal", "timeout", "on_conflict")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    signal: str
    timeout: _duration_pb2.Duration
    on_conflict: SignalConflict
    def __init__(self, signal: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_conflict: _Optional[_Union[SignalConflict, str]] = ...) -> None: ...

class SignalSent(_message.Message):
    __slots__ = ("signal", "data")
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    signal: str
    data: _payload_pb2.Payload
    def __init__(self, signal: _Optional[str] = ..., data: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class RunCompleted(_message.Message):
    __slots__ = ("output",)
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    output: _payload_pb2.Payload
    def __init__(self, output: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class RunFailed(_message.Message):
    __slots__ = ("failure", "retry")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    failure: _payload_pb2.Failure
    retry: RetryDirective
    def __init__(self, failure: _Optional[_Union[_payload_pb2.Failure, _Mapping]] = ..., retry: _Optional[_Union[RetryDirective, _Mapping]] = ...) -> None: ...

class RunParked(_message.Message):
    __slots__ = ("blocked_by",)
    BLOCKED_BY_FIELD_NUMBER: _ClassVar[int]
    blocked_by: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, blocked_by: _Optional[_Iterable[str]] = ...) -> None: ...

class RetryDirective(_message.Message):
    __slots__ = ("never", "after")
    NEVER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    never: bool
    after: _duration_pb2.Duration
    def __init__(self, never: _Optional[bool] = ..., after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Acks(_message.Message):
    __slots__ = ("acks",)
    ACKS_FIELD_NUMBER: _ClassVar[int]
    acks: _containers.RepeatedCompositeFieldContainer[Ack]
    def __init__(self, acks: _Optional[_Iterable[_Union[Ack, _Mapping]]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("run_id", "epoch", "step_key", "status", "message", "reason", "entry")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_KEY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    step_key: str
    status: AckStatus
    message: str
    reason: str
    entry: _run_pb2.JournalEntry
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., step_key: _Optional[str] = ..., status: _Optional[_Union[AckStatus, str]] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., entry: _Optional[_Union[_run_pb2.JournalEntry, _Mapping]] = ...) -> None: ...

class Resolutions(_message.Message):
    __slots__ = ("resolutions",)
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    resolutions: _containers.RepeatedCompositeFieldContainer[Resolution]
    def __init__(self, resolutions: _Optional[_Iterable[_Union[Resolution, _Mapping]]] = ...) -> None: ...

class Resolution(_message.Message):
    __slots__ = ("run_id", "epoch", "entry")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    entry: _run_pb2.JournalEntry
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., entry: _Optional[_Union[_run_pb2.JournalEntry, _Mapping]] = ...) -> None: ...

class Cancellations(_message.Message):
    __slots__ = ("cancellations",)
    CANCELLATIONS_FIELD_NUMBER: _ClassVar[int]
    cancellations: _containers.RepeatedCompositeFieldContainer[Cancellation]
    def __init__(self, cancellations: _Optional[_Iterable[_Union[Cancellation, _Mapping]]] = ...) -> None: ...

class Cancellation(_message.Message):
    __slots__ = ("run_id", "epoch", "reason")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    reason: str
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
