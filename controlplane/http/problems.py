"""Errors → HTTP answers. What gRPC callers are told too is taken from the status that they would get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc
import orjson
from google.rpc import error_details_pb2

from controlplane.errors import CallerError
from controlplane.http.messages import Response
from controlplane.rpc.status import status_of

_STATUSES: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}
_RETRY_SECONDS_MIN: Final = 1


class HttpRefusal(CallerError):
    """A request that is wrong in a way that only HTTP knows."""

    status = 400
    headers: tuple[tuple[str, str], ...] = ()


class BadRequest(HttpRefusal):
    """It does not follow HTTP, or its head is too large."""

    reason = "BAD_REQUEST"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnknownPath(HttpRefusal):
    """There is nothing there."""

    status = 404
    reason = "UNKNOWN_PATH"


class MethodNotAllowed(HttpRefusal):
    """What is there does not take this method."""

    status = 405
    reason = "METHOD_NOT_ALLOWED"
    headers = (("allow", "POST"),)


class BodyTooSlow(HttpRefusal):
    """The body did not come in time."""

    status = 408
    reason = "BODY_TOO_SLOW"


class BodyTooLarge(HttpRefusal):
    """The body has more bytes than are read."""

    status = 413
    reason = "BODY_TOO_LARGE"


class UnsupportedMediaType(HttpRefusal):
    """The body is something else than JSON, or is compressed."""

    status = 415
    reason = "UNSUPPORTED_MEDIA_TYPE"


def response_of(error: BaseException) -> Response:
    """The answer to a request that ended with `error`."""
    if isinstance(error, HttpRefusal):
        return _response(error.status, error.reason, str(error), headers=error.headers)
    code, message, rich = status_of(error)
    reason, violations = "", []
    headers: tuple[tuple[str, str], ...] = ()
    for packed in rich.details:
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if packed.Unpack(info):
            reason = info.reason
        elif packed.Unpack(bad):
            violations = [{"field": each.field, "description": each.description} for each in bad.field_violations]
        elif packed.Unpack(retry):
            headers = (("retry-after", str(max(retry.retry_delay.ToSeconds(), _RETRY_SECONDS_MIN))),)
    return _response(_STATUSES.get(code, 500), reason, message, violations, headers)


def _response(
    status: int,
    reason: str,
    message: str,
    violations: Sequence[dict[str, str]] = (),
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    told = {"reason": reason, "message": message, "violations": list(violations)}
    return Response(status, orjson.dumps({"error": told}), headers)
