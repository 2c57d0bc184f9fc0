"""Errors → google.rpc.Status with its details: the only place that knows both.

What the server raises on purpose is told as it is. Everything else is a bug, told as "internal error" only: its trace is
for the log.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from controlplane.core.limits import MILLISECOND, SECOND
from controlplane.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    NotReading,
    Saturated,
    SteplaneError,
    Stopping,
    StoreError,
    Superseded,
    TimedOut,
)

DOMAIN: Final = "steplane.dev"

#: Trailers are refused by clients from 8 KiB on, and carry the message beside the details: each gets its share.
_MESSAGE_BYTES_MAX: Final = 1_000
_DETAILS_BYTES_MAX: Final = 4_000
_DESCRIPTION_CHARACTERS_MAX: Final = 500
_DETAILS_KEY: Final = "grpc-status-details-bin"

_CODES: Final[dict[type, grpc.StatusCode]] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    TimedOut: grpc.StatusCode.DEADLINE_EXCEEDED,
    Superseded: grpc.StatusCode.ABORTED,
    NotReading: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Saturated: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Stopping: grpc.StatusCode.UNAVAILABLE,
    StoreError: grpc.StatusCode.UNAVAILABLE,
}
#: When to try again. What has no place here is not worth another try as it is.
_RETRY_AFTER: Final[dict[type, int]] = {
    Saturated: 200 * MILLISECOND,
    Stopping: 1 * SECOND,
    StoreError: 5 * SECOND,
}
_NUMBERS: Final[dict[grpc.StatusCode, int]] = {code: code_pb2.Code.Value(code.name) for code in grpc.StatusCode}


class Status(NamedTuple):
    """What a call ends with."""

    code: grpc.StatusCode
    message: str
    rich: status_pb2.Status
    """With its details."""

    @property
    def trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """The details as gRPC carries them."""
        return ((_DETAILS_KEY, self.rich.SerializeToString()),)


def status_of(error: BaseException) -> Status:
    """The status of a call that ended with `error`."""
    if not isinstance(error, SteplaneError):
        return _make(grpc.StatusCode.INTERNAL, "internal error", "INTERNAL", [])
    kinds = type(error).__mro__
    code = next((_CODES[kind] for kind in kinds if kind in _CODES), grpc.StatusCode.INTERNAL)
    details: list[Message] = []
    message = str(error)
    match error:
        case InvalidArgument():
            told = _violations_that_fit(error.violations)
            details.append(told)
            message = _message(error.violations, told)
        case NotFound():
            details.append(
                error_details_pb2.ResourceInfo(
                    resource_type=error.kind, resource_name=_cut(error.name), description=_cut(message)
                )
            )
        case _:
            pass
    delay = next((_RETRY_AFTER[kind] for kind in kinds if kind in _RETRY_AFTER), None)
    if delay is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromMicroseconds(delay)
        details.append(info)
    return _make(code, message, error.reason, details)


def _make(code: grpc.StatusCode, message: str, reason: str, details: list[Message]) -> Status:
    message = _clip(message, _MESSAGE_BYTES_MAX)
    status = status_pb2.Status(code=_NUMBERS[code], message=message)
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN), *details):
        status.details.add().Pack(detail)
    return Status(code, message, status)


def _violations_that_fit(violations: tuple[FieldViolation, ...]) -> error_details_pb2.BadRequest:
    told = error_details_pb2.BadRequest()
    room = _DETAILS_BYTES_MAX
    for violation in violations:
        field, description = _cut(violation.field), _cut(violation.description)
        room -= len(field.encode()) + len(description.encode())
        if room < 0 and told.field_violations:
            break
        told.field_violations.add(field=field, description=description)
    return told


def _message(violations: tuple[FieldViolation, ...], told: error_details_pb2.BadRequest) -> str:
    more = len(violations) - len(told.field_violations)
    text = "; ".join(f"{violation.field}: {violation.description}" for violation in told.field_violations)
    return _clip(text, _MESSAGE_BYTES_MAX - 40) + (f"; and {more} more" if more > 0 else "")


def _cut(text: str) -> str:
    if len(text) <= _DESCRIPTION_CHARACTERS_MAX:
        return text
    return text[: _DESCRIPTION_CHARACTERS_MAX - 1] + "…"


def _clip(text: str, bytes_max: int) -> str:
    # A byte that is not printable ASCII is sent as three: "%C3".
    size = 0
    for index, character in enumerate(text):
        size += 1 if " " <= character <= "~" else 3 * len(character.encode(errors="replace"))
        if size > bytes_max:
            return text[:index] + "…"
    return text
