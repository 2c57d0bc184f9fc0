"""Every error on purpose has its status; all others are bugs, and say nothing of themselves."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from controlplane import errors
from controlplane.errors import (
    CallerError,
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
from controlplane.rpc.status import DOMAIN, Status, status_of

#: A client refuses trailers beyond 8 KiB; base64 makes four bytes of three.
TRAILERS_BYTES_MAX = 8 * 1024


def details(status: Status) -> list[Message]:
    """The details, each as its own type, in order."""
    found: list[Message] = []
    for packed in status_pb2.Status.FromString(bytes(status.trailers[0][1])).details:  # type: ignore[arg-type]
        kind = getattr(error_details_pb2, packed.TypeName().rpartition(".")[2])
        message = kind()
        assert packed.Unpack(message)
        found.append(message)
    return found


@pytest.mark.parametrize(
    ("error", "code", "reason", "retry_ms"),
    [
        (InvalidArgument(FieldViolation("name", "is required")), "INVALID_ARGUMENT", "INVALID_ARGUMENT", None),
        (NotFound(kind="run", name="r1"), "NOT_FOUND", "NOT_FOUND", None),
        (FailedPrecondition("has ended", reason="RUN_ENDED"), "FAILED_PRECONDITION", "RUN_ENDED", None),
        (TimedOut("no hello"), "DEADLINE_EXCEEDED", "SILENT", None),
        (Superseded("a newer stream"), "ABORTED", "SESSION_SUPERSEDED", None),
        (NotReading("does not read"), "RESOURCE_EXHAUSTED", "NOT_READING", None),
        (Saturated("try again"), "RESOURCE_EXHAUSTED", "SATURATED", 200),
        (Stopping("stopping"), "UNAVAILABLE", "STOPPING", 1000),
        (StoreError("disk full"), "UNAVAILABLE", "STORE", 5000),
    ],
)
def test_an_error_has_a_code_a_reason_and_a_delay(
    error: SteplaneError, code: str, reason: str, retry_ms: int | None
) -> None:
    """The reason is for programs, and comes first; a delay says that another try may help."""
    status = status_of(error)
    assert status.code is grpc.StatusCode[code]
    assert status.message == str(error)
    info, *others = details(status)
    assert info == error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    delays = [one.retry_delay.ToMilliseconds() for one in others if isinstance(one, error_details_pb2.RetryInfo)]
    assert delays == ([] if retry_ms is None else [retry_ms])


def test_every_error_is_known() -> None:
    """No error that the server raises on purpose is told as internal."""
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, SteplaneError)]
    for kind in set(kinds) - {SteplaneError, CallerError}:
        error = kind.__new__(kind)
        error.violations, error.kind, error.name = (), "", ""  # type: ignore[attr-defined]
        assert status_of(error).code is not grpc.StatusCode.INTERNAL, kind


def test_violations_name_their_fields() -> None:
    """Each violation has a path and words."""
    status = status_of(InvalidArgument(FieldViolation("events[3].name", "is required"), FieldViolation("ts", "no")))
    _, bad = details(status)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [(one.field, one.description) for one in bad.field_violations] == [
        ("events[3].name", "is required"),
        ("ts", "no"),
    ]
    assert status.message == "events[3].name: is required; ts: no"


def test_what_is_not_there_is_named() -> None:
    """The kind and the name of it come as resource info."""
    _, resource = details(status_of(NotFound(kind="run", name="r1")))
    assert isinstance(resource, error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("run", "r1")


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret")])
def test_a_bug_says_nothing_of_itself(error: Exception) -> None:
    """What the server did not mean to raise is "internal error"; its words are for the log."""
    status = status_of(error)
    assert status.code is grpc.StatusCode.INTERNAL
    assert status.message == "internal error"
    assert b"secret" not in bytes(status.trailers[0][1])  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["x" * 100_000, "ß" * 100_000, "\n" * 100_000, "\U0001f600" * 100_000])
def test_any_error_fits_into_the_trailers(text: str) -> None:
    """However much is wrong, the client gets the status, and not an error about its size."""
    many = [FieldViolation(f"events[{index}].{text}", text) for index in range(100)]
    for error in (InvalidArgument(*many), NotFound(kind="run", name=text), FailedPrecondition(text, reason="X")):
        status = status_of(error)
        percent_encoded = sum(1 if " " <= c <= "~" else 3 * len(c.encode()) for c in status.message)
        base64 = len(bytes(status.trailers[0][1])) * 4 // 3  # type: ignore[arg-type]
        assert percent_encoded + base64 < TRAILERS_BYTES_MAX


def test_a_message_tells_how_much_it_leaves_out() -> None:
    """A caller with 5,000 bad events is told of some, and how many there are besides."""
    status = status_of(InvalidArgument(*[FieldViolation(f"events[{i}].name", "x" * 200) for i in range(100)]))
    _, bad = details(status)
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert status.message.endswith(f"; and {100 - len(bad.field_violations)} more")
