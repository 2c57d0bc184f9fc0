import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from steplane.gen.steplane.v1 import payload_pb2 as _payload_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConcurrencyScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONCURRENCY_SCOPE_UNSPECIFIED: _ClassVar[ConcurrencyScope]
    CONCURRENCY_SCOPE_FUNCTION: _ClassVar[ConcurrencyScope]
    CONCURRENCY_SCOPE_APP: _ClassVar[ConcurrencyScope]
    CONCURRENCY_SCOPE_NAMESPACE: _ClassVar[ConcurrencyScope]

class ConcurrencyHold(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONCURRENCY_HOLD_UNSPECIFIED: _ClassVar[ConcurrencyHold]
    CONCURRENCY_HOLD_INVOCATION: _ClassVar[ConcurrencyHold]
    CONCURRENCY_HOLD_RUN: _ClassVar[ConcurrencyHold]

class SingletonMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SINGLETON_MODE_UNSPECIFIED: _ClassVar[SingletonMode]
    SINGLETON_MODE_SKIP: _ClassVar[SingletonMode]
    SINGLETON_MODE_CANCEL: _ClassVar[SingletonMode]

class FunctionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUNCTION_STATE_UNSPECIFIED: _ClassVar[FunctionState]
    FUNCTION_STATE_ACTIVE: _ClassVar[FunctionState]
    FUNCTION_STATE_PAUSED: _ClassVar[FunctionState]
    FUNCTION_STATE_DISABLED: _ClassVar[FunctionState]
CONCURRENCY_SCOPE_UNSPECIFIED: ConcurrencyScope
CONCURRENCY_SCOPE_FUNCTION: ConcurrencyScope
CONCURRENCY_SCOPE_APP: ConcurrencyScope
CONCURRENCY_SCOPE_NAMESPACE: ConcurrencyScope
CONCURRENCY_HOLD_UNSPECIFIED: ConcurrencyHold
CONCURRENCY_HOLD_INVOCATION: ConcurrencyHold
CONCURRENCY_HOLD_RUN: ConcurrencyHold
SINGLETON_MODE_UNSPECIFIED: SingletonMode
SINGLETON_MODE_SKIP: SingletonMode
SINGLETON_MODE_CANCEL: SingletonMode
FUNCTION_STATE_UNSPECIFIED: FunctionState
FUNCTION_STATE_ACTIVE: FunctionState
FUNCTION_STATE_PAUSED: FunctionState
FUNCTION_STATE_DISABLED: FunctionState

class FunctionDefinition(_message.Message):
    __slots__ = ("app_id", "function_id", "name", "triggers", "retry", "batch", "cancel", "concurrency", "debounce", "priority", "rate_limit", "singleton", "throttle", "timeouts", "idempotency")
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    DEBOUNCE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SINGLETON_FIELD_NUMBER: _ClassVar[int]
    THROTTLE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_FIELD_NUMBER: _ClassVar[int]
    app_id: str
    function_id: str
    name: str
    triggers: _containers.RepeatedCompositeFieldContainer[Trigger]
    retry: RetryPolicy
    batch: Batch
    cancel: _containers.RepeatedCompositeFieldContainer[CancelOn]
    concurrency: _containers.RepeatedCompositeFieldContainer[ConcurrencyLimit]
    debounce: Debounce
    priority: Priority
    rate_limit: RateLimit
    singleton: Singleton
    throttle: Throttle
    timeouts: Timeouts
    idempotency: Idempotency
    def __init__(self, app_id: _Optional[str] = ..., function_id: _Optional[str] = ..., name: _Optional[str] = ..., triggers: _Optional[_Iterable[_Union[Trigger, _Mapping]]] = ..., retry: _Optional[_Union[RetryPolicy, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., cancel: _Optional[_Iterable[_Union[CancelOn, _Mapping]]] = ..., concurrency: _Optional[_Iterable[_Union[ConcurrencyLimit, _Mapping]]] = ..., debounce: _Optional[_Union[Debounce, _Mapping]] = ..., priority: _Optional[_Union[Priority, _Mapping]] = ..., rate_limit: _Optional[_Union[RateLimit, _Mapping]] = ..., singleton: _Optional[_Union[Singleton, _Mapping]] = ..., throttle: _Optional[_Union[Throttle, _Mapping]] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., idempotency: _Optional[_Union[Idempotency, _Mapping]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("max_size", "timeout", "key", "expression")
    MAX_SIZE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    max_size: int
    timeout: _duration_pb2.Duration
    key: str
    expression: str
    def __init__(self, max_size: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., key: _Optional[str] = ..., expression: _Optional[str] = ...) -> None: ...

class CancelOn(_message.Message):
    __slots__ = ("event", "match", "expression", "timeout")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    event: str
    match: str
    expression: str
    timeout: _duration_pb2.Duration
    def __init__(self, event: _Optional[str] = ..., match: _Optional[str] = ..., expression: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ConcurrencyLimit(_message.Message):
    __slots__ = ("limit", "key", "scope", "hold")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    limit: int
    key: str
    scope: ConcurrencyScope
    hold: ConcurrencyHold
    def __init__(self, limit: _Optional[int] = ..., key: _Optional[str] = ..., scope: _Optional[_Union[ConcurrencyScope, str]] = ..., hold: _Optional[_Union[ConcurrencyHold, str]] = ...) -> None: ...

class Debounce(_message.Message):
    __slots__ = ("period", "key", "timeout")
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    period: _duration_pb2.Duration
    key: str
    timeout: _duration_pb2.Duration
    def __init__(self, period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., key: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Priority(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: str
    def __init__(self, run: _Optional[str] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("limit", "period", "key")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    limit: int
    period: _duration_pb2.Duration
    key: str
    def __init__(self, limit: _Optional[int] = ..., period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., key: _Optional[str] = ...) -> None: ...

class Singleton(_message.Message):
    __slots__ = ("key", "mode")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    key: str
    mode: SingletonMode
    def __init__(self, key: _Optional[str] = ..., mode: _Optional[_Union[SingletonMode, str]] = ...) -> None: ...

class Throttle(_message.Message):
    __slots__ = ("limit", "period", "burst", "key")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    limit: int
    period: _duration_pb2.Duration
    burst: int
    key: str
    def __init__(self, limit: _Optional[int] = ..., period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., burst: _Optional[int] = ..., key: _Optional[str] = ...) -> None: ...

class Timeouts(_message.Message):
    __slots__ = ("start", "finish")
    START_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    start: _duration_pb2.Duration
    finish: _duration_pb2.Duration
    def __init__(self, start: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., finish: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Idempotency(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class Trigger(_message.Message):
    __slots__ = ("event", "cron")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    event: EventTrigger
    cron: CronTrigger
    def __init__(self, event: _Optional[_Union[EventTrigger, _Mapping]] = ..., cron: _Optional[_Union[CronTrigger, _Mapping]] = ...) -> None: ...

class EventTrigger(_message.Message):
    __slots__ = ("event", "expression")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    event: str
    expression: str
    def __init__(self, event: _Optional[str] = ..., expression: _Optional[str] = ...) -> None: ...

class CronTrigger(_message.Message):
    __slots__ = ("cron", "time_zone")
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    cron: str
    time_zone: str
    def __init__(self, cron: _Optional[str] = ..., time_zone: _Optional[str] = ...) -> None: ...

class RetryPolicy(_message.Message):
    __slots__ = ("retries", "delays", "jitter")
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    DELAYS_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    retries: int
    delays: _containers.RepeatedCompositeFieldContainer[_duration_pb2.Duration]
    jitter: _duration_pb2.Duration
    def __init__(self, retries: _Optional[int] = ..., delays: _Optional[_Iterable[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]]] = ..., jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Function(_message.Message):
    __slots__ = ("namespace", "definition", "version", "create_time", "update_time", "live_sessions", "state")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LIVE_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    definition: FunctionDefinition
    version: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    live_sessions: int
    state: FunctionState
    def __init__(self, namespace: _Optional[str] = ..., definition: _Optional[_Union[FunctionDefinition, _Mapping]] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., live_sessions: _Optional[int] = ..., state: _Optional[_Union[FunctionState, str]] = ...) -> None: ...

class RegisterFunctionRequest(_message.Message):
    __slots__ = ("namespace", "definition")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    definition: FunctionDefinition
    def __init__(self, namespace: _Optional[str] = ..., definition: _Optional[_Union[FunctionDefinition, _Mapping]] = ...) -> None: ...

class RegisterFunctionResponse(_message.Message):
    __slots__ = ("version", "warnings")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    version: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class GetFunctionRequest(_message.Message):
    __slots__ = ("namespace", "app_id", "function_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    function_id: str
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., function_id: _Optional[str] = ...) -> None: ...

class GetFunctionResponse(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: Function
    def __init__(self, function: _Optional[_Union[Function, _Mapping]] = ...) -> None: ...

class ListFunctionsRequest(_message.Message):
    __slots__ = ("namespace", "app_id", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFunctionsResponse(_message.Message):
    __slots__ = ("functions", "next_page_token")
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[Function]
    next_page_token: str
    def __init__(self, functions: _Optional[_Iterable[_Union[Function, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TriggerFunctionRequest(_message.Message):
    __slots__ = ("namespace", "app_id", "function_id", "data", "event_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    function_id: str
    data: _payload_pb2.Payload
    event_id: str
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., function_id: _Optional[str] = ..., data: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., event_id: _Optional[str] = ...) -> None: ...

class TriggerFunctionResponse(_message.Message):
    __slots__ = ("event_id", "run_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    run_id: str
    def __init__(self, event_id: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class PauseFunctionRequest(_message.Message):
    __slots__ = ("namespace", "app_id", "function_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    function_id: str
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., function_id: _Optional[str] = ...) -> None: ...

class PauseFunctionResponse(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: Function
    def __init__(self, function: _Optional[_Union[Function, _Mapping]] = ...) -> None: ...

class ResumeFunctionRequest(_message.Message):
    __slots__ = ("namespace", "app_id", "function_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    function_id: str
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., function_id: _Optional[str] = ...) -> None: ...

class ResumeFunctionResponse(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: Function
    def __init__(self, function: _Optional[_Union[Function, _Mapping]] = ...) -> None: ...

class DisableFunctionRequest(_message.Message):
    __slots__ = ("namespace", "app_id", "function_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    function_id: str
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., function_id: _Optional[str] = ...) -> None: ...

class DisableFunctionResponse(_message.Message):
    __slots__ = ("function",)
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    function: Function
    def __init__(self, function: _Optional[_Union[Function, _Mapping]] = ...) -> None: ...

class DeleteFunctionRequest(_message.Message):
    __slots__ = ("namespace", "app_id", "function_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    app_id: str
    function_id: str
    def __init__(self, namespace: _Optional[str] = ..., app_id: _Optional[str] = ..., function_id: _Optional[str] = ...) -> None: ...

class DeleteFunctionResponse(_message.Message):
    __slots__ = ("runs_cancelled",)
    RUNS_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    runs_cancelled: int
    def __init__(self, runs_cancelled: _Optional[int] = ...) -> None: ...
