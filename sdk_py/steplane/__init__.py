"""Durable functions, run by events: the Python SDK of Steplane."""

from steplane.client import Steplane
from steplane.context import Context, ContextSync, Group, GroupSync
from steplane.errors import (
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
from steplane.function import Function, TriggerCron, TriggerEvent
from steplane.scope import current_traceparent
from steplane.step import Step, StepSync
from steplane.transport import Tls
from steplane.worker.worker import Worker

__all__ = [
    "Context",
    "ContextSync",
    "Event",
    "FieldViolation",
    "Function",
    "Group",
    "GroupSync",
    "NestedStepError",
    "NonDeterminismError",
    "NonRetriableError",
    "NotSerializableError",
    "RegistrationError",
    "RejectedError",
    "RequestError",
    "RetryAfterError",
    "SendError",
    "Step",
    "StepError",
    "StepIdError",
    "StepSync",
    "Steplane",
    "SteplaneError",
    "Tls",
    "TooLargeError",
    "TriggerCron",
    "TriggerEvent",
    "Worker",
    "current_traceparent",
]
