"""A failed call in plain words: gRPC's status and its details → a `Problem` with a remedy."""

from __future__ import annotations

from typing import Final, NamedTuple

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from controlplane.client_commands.problems import Failed, Missing, Problem, Unreachable, Wrong

_ELSEWHERE: Final = "Another address: --address HOST:PORT, or STEPLANE_ADDRESS."


class _Symptom(NamedTuple):
    """What gRPC says when a connection can't be made, and what it means."""

    said: tuple[str, ...]
    meaning: str
    remedy: str


_SYMPTOMS: Final = (
    _Symptom(
        ("Connection refused",),
        "nothing listens at {address}",
        "Is `steplane serve` running there? " + _ELSEWHERE,
    ),
    _Symptom(
        ("errors resolving", "DNS resolution failed"),
        "there is no host of that name: {address}",
        _ELSEWHERE,
    ),
    _Symptom(
        ("WRONG_VERSION_NUMBER",),
        "the server at {address} does not speak TLS",
        "Leave out --tls and --tls-ca.",
    ),
    _Symptom(
        ("CERTIFICATE_VERIFY_FAILED",),
        "the certificate of {address} is signed by nobody that this machine trusts",
        "Name the authority that signed it: --tls-ca FILE.",
    ),
    _Symptom(
        ("Hostname Verification Check failed",),
        "the certificate of {address} is for another host name",
        "Use the name that the certificate was made for: --address NAME:PORT.",
    ),
    _Symptom(
        ("Failed to create security handshaker",),
        "the PEM files for TLS hold no usable certificate or key",
        "Look at what --tls-ca, --client-cert and --client-key name.",
    ),
    _Symptom(
        ("Expected SETTINGS frame", "Received http2 header with status", "Trying to connect an http1.x server"),
        "what answers at {address} is not Steplane: it does not speak gRPC",
        "A web server, or a proxy that can't pass gRPC on? " + _ELSEWHERE,
    ),
)
_CLOSED: Final = ("Socket closed", "Connection reset")


def call_problem(error: grpc.RpcError, address: str, *, tls: bool) -> Problem:
    """What is wrong, from the error of a call to the server at `address`."""
    code, said = error.code(), error.details() or ""
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            return Wrong(_refusal(error, said))
        case grpc.StatusCode.NOT_FOUND:
            return Missing(said or code.name)
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.UNIMPLEMENTED | grpc.StatusCode.UNKNOWN:
            return _connection_problem(code, said, address, tls=tls)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Unreachable(
                f"no answer from {address} in time", remedy="Is that the right address? More time: --timeout SECONDS."
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Unreachable(said, remedy="The server has too much to do; try again in a moment.")
        case grpc.StatusCode.CANCELLED:
            return Unreachable(f"the call to {address} was cancelled: {said}")
        case _:
            return Failed(said or code.name)


def _connection_problem(code: grpc.StatusCode, said: str, address: str, *, tls: bool) -> Problem:
    for symptom in _SYMPTOMS:
        if any(text in said for text in symptom.said):
            return Unreachable(symptom.meaning.format(address=address), remedy=symptom.remedy)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Unreachable(
            f"the server at {address} does not know this call",
            remedy="It is another gRPC service, or an older Steplane than this command line.",
        )
    if any(text in said for text in _CLOSED):
        remedy = (
            "Does it ask for a client's certificate? Then: --client-cert FILE --client-key FILE."
            if tls
            else "Does it expect TLS? Then: --tls, or --tls-ca FILE."
        )
        return Unreachable(f"{address} closed the connection", remedy=remedy)
    return Unreachable(f"the server at {address} cannot answer: {said}")


def _refusal(error: grpc.RpcError, said: str) -> str:
    status = rpc_status.from_call(error)
    lines = []
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            lines += [f"  {violation.field}: {violation.description}" for violation in bad.field_violations]
    return "\n".join(["the server refused this:", *lines]) if lines else f"the server refused this: {said}"
