"""Durable functions, run by events: the Python SDK of Steplane."""

from steplane.client import Steplane
from steplane.context import Context, ContextSync, Group, GroupSync
from steplane.definition import TriggerCron, TriggerEvent
from steplane.errors import (
    ArgumentError,
    FieldViolation,
    NestedStepError,
    NonDeterminismError,
    NonRetriableError,
    NotSerializableError,
    RegistrationError,
    RejectedError,
    RequestError,
    RetryAfterError,
    SendError,
    StepError,
    StepIdError,
    SteplaneError,
    TooLargeError,
)
from steplane.event import Event
from steplane.flow import Batch, Cancel, Concurrency, Debounce, Priority, RateLimit, Singleton, Throttle, Timeouts
from steplane.function import Function
from steplane.retry import Retry
from steplane.scope import current_traceparent
from steplane.step import Step
from steplane.step_sync import StepSync
from steplane.transport import Tls
from steplane.waiting import WaitedEvent
from steplane.worker.worker import Worker

__all__ = [
    "ArgumentError",
    "Batch",
    "Cancel",
    "Concurrency",
    "Context",
    "ContextSync",
    "Debounce",
    "Event",
    "FieldViolation",
    "Function",
    "Group",
    "GroupSync",
    "NestedStepError",
    "NonDeterminismError",
    "NonRetriableError",
    "NotSerializableError",
    "Priority",
    "RateLimit",
    "RegistrationError",
    "RejectedError",
    "RequestError",
    "Retry",
    "RetryAfterError",
    "SendError",
    "Singleton",
    "Step",
    "StepError",
    "StepIdError",
    "StepSync",
    "Steplane",
    "SteplaneError",
    "Throttle",
    "Timeouts",
    "Tls",
    "TooLargeError",
    "TriggerCron",
    "TriggerEvent",
    "WaitedEvent",
    "Worker",
    "current_traceparent",
]
