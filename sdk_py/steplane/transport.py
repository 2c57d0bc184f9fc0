"""The way to a server: channel, TLS, and what an error of gRPC means in words that help."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2

from steplane.codec import decode_duration
from steplane.errors import FieldViolation
from steplane.override import override

DEFAULT_PORT: Final = 7100
_DETAILS_KEY: Final = "grpc-status-details-bin"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),  # the server tells what it sends at the most
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A new channel has to try at once, and not to wait until an older one of the process would.
    ("grpc.use_local_subchannel_pool", 1),
)
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How to speak TLS, where `tls=True` is not enough. Each is PEM: bytes, or a path."""

    ca: bytes | str | Path | None = None
    """The certificates to trust; those of the system if not given."""
    certificate: bytes | str | Path | None = None
    """The worker's own certificate chain, if the server asks for one."""
    key: bytes | str | Path | None = None
    """The private key of that certificate."""
    server_name: str = ""
    """The name that the server's certificate has, if it is not that of the address."""


class Problem(NamedTuple):
    """What is wrong, and what to do about it."""

    cause: str
    remedy: str

    @override
    def __str__(self) -> str:
        return f"{self.cause}. {self.remedy}" if self.remedy else f"{self.cause}."


class Target:
    """A server's address, and how to speak to it."""

    def __init__(self, address: str, tls: Tls | None) -> None:
        self.address = _checked(address)
        self.tls = tls

    def open(self) -> grpc.Channel:
        """A new channel. It connects with its first call."""
        tls = self.tls
        if tls is None:
            return grpc.insecure_channel(self.address, _OPTIONS)
        options = [*_OPTIONS, ("grpc.ssl_target_name_override", tls.server_name)] if tls.server_name else _OPTIONS
        credentials = grpc.ssl_channel_credentials(_pem(tls.ca), _pem(tls.key), _pem(tls.certificate))
        return grpc.secure_channel(self.address, credentials, options)

    def explain(self, error: grpc.RpcError) -> Problem:
        """What an error means, as far as a program can tell."""
        code, text = error.code(), error.details() or ""
        for pattern, cause, remedy in _EXPLANATIONS:
            if re.search(pattern, text, re.IGNORECASE):
                return Problem(cause.format(address=self.address), remedy)
        if self.tls is None and re.search(r"socket closed|connection reset", text, re.IGNORECASE):
            return Problem(
                f"{self.address} closes the connection as soon as it is made",
                "If it speaks TLS, use Steplane(tls=True); if it is not a Steplane server, correct the address",
            )
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return Problem(
                f"{self.address} speaks gRPC, but does not know this call ({text})",
                "Is it a Steplane server, and not older than this SDK?",
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Problem(
                f"{self.address} does not answer in time", "Is it the right address, and is the server overloaded?"
            )
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return Problem(
                f"{self.address} refuses access ({code.name}: {text})", "Check the credentials of this worker"
            )
        return Problem(f"{self.address} answers {code.name}: {text}", "")


_EXPLANATIONS: Final = (
    (
        r"connection refused|no route to host|network is unreachable|timed? ?out occurred|handshaker? timeout",
        "nothing answers at {address}",
        "Is the server running, and is the address right? It is set by Steplane(address=...) or STEPLANE_ADDRESS",
    ),
    (
        r"errors? resolving|DNS resolution failed|address lookup failed",
        "the host name of {address} is not known",
        "Correct the address: host:port, without http://",
    ),
    (
        r"WRONG_VERSION_NUMBER|tls_validate_record_header|UNEXPECTED_MESSAGE",
        "{address} does not speak TLS, but this client does",
        "Leave out tls=..., or give the server a certificate",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|peer name|hostname verification",
        "the certificate of {address} can't be trusted",
        "Give its authority by tls=Tls(ca='ca.pem'), and check that the certificate has the host's name",
    ),
    (
        r"certificate required|CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE",
        "{address} asks for a client certificate",
        "Give one by tls=Tls(certificate='client.pem', key='client.key')",
    ),
    (
        # 1752460652 is "html" read as a length: a page where a message should be.
        r"http1\.x|HTTP/1\.|Expected SETTINGS frame|1752460652|1213486160|ALPN|http2 header with status|content-type",
        "{address} answers like a web server, and not with gRPC",
        "Is there a proxy or a web page at this address? It has to let HTTP/2 and gRPC through to the Steplane server",
    ),
)


def status_details(error: grpc.RpcError) -> status_pb2.Status:
    """The rich status of an error; an empty one if there is none."""
    metadata: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]  # the stubs miss it
    for key, value in metadata:
        if key == _DETAILS_KEY:
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()


def violations_of(error: grpc.RpcError) -> tuple[FieldViolation, ...]:
    """The fields that a server found wrong."""
    found: list[FieldViolation] = []
    for detail in status_details(error).details:
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            request = error_details_pb2.BadRequest.FromString(detail.value)
            found += (FieldViolation(violation.field, violation.description) for violation in request.field_violations)
    return tuple(found)


def retry_delay_of(error: grpc.RpcError) -> float | None:
    """After how many seconds a server asks to be tried again, if it does."""
    for detail in status_details(error).details:
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            return decode_duration(error_details_pb2.RetryInfo.FromString(detail.value).retry_delay)
    return None


def _checked(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if address.startswith("unix:") or (match is not None and int(match[2]) <= 65535):  # noqa: PLR2004 the highest port
        return address
    raise ValueError(f"the server's address has to be host:port, for example 127.0.0.1:{DEFAULT_PORT}, not {address!r}")


def _pem(source: bytes | str | Path | None) -> bytes | None:
    return Path(source).read_bytes() if isinstance(source, str | Path) else source
