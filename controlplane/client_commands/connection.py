"""A connection to a server, and calls over it. Every failure of a call becomes a `Problem`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.client_commands.call_problems import call_problem

if TYPE_CHECKING:
    from controlplane.client_commands.problems import Problem

_PAGE: Final = 1_000
_Item = TypeVar("_Item")


class Tls(NamedTuple):
    """How to make sure who the server is, and to prove who the client is: the contents of PEM files."""

    ca: bytes | None = None
    """Whom to trust; gRPC's own list of authorities if `None`."""
    cert: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the server is and how to talk to it."""

    address: str
    namespace: str
    timeout: float
    """Seconds that one call may take."""
    tls: Tls | None = None


class Listed(NamedTuple, Generic[_Item]):
    """The first items of a list."""

    items: list[_Item]
    has_more: bool


class Connection:
    """A channel that is opened at the first call, and how calls are made over it."""

    def __init__(self, target: Target) -> None:
        self.namespace = target.namespace
        self.channel = _channel(target)
        self._target = target

    def call(self, method: Callable[..., Any], request: Any, *, more_seconds: float = 0) -> Any:
        """Ask for one answer, which may take so many seconds more than others."""
        try:
            return method(request, timeout=self._target.timeout + more_seconds)
        except grpc.RpcError as error:
            raise self._problem(error) from error

    def stream(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """Ask for answers that come in their own time, for as long as it takes."""
        try:
            yield from method(request)
        except grpc.RpcError as error:
            raise self._problem(error) from error

    def first_of(self, method: Callable[..., Any], request: Any, field: str, limit: int) -> Listed[Any]:
        """Ask for the first items of a list, page by page."""
        items: list[Any] = []
        while True:
            request.page_size = min(limit - len(items), _PAGE)
            answer = self.call(method, request)
            items += getattr(answer, field)
            if not answer.next_page_token or len(items) >= limit:
                return Listed(items[:limit], has_more=bool(answer.next_page_token) or len(items) > limit)
            request.page_token = answer.next_page_token

    def _problem(self, error: grpc.RpcError) -> Problem:
        return call_problem(error, self._target.address, tls=self._target.tls is not None)


def timestamp(moment: int | None) -> Timestamp | None:
    """A moment in microseconds since 1970, as the wire has it."""
    if moment is None:
        return None
    seconds, micros = divmod(moment, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def _channel(target: Target) -> grpc.Channel:
    # A run's output may be larger than what a client of gRPC takes unless told otherwise.
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if target.tls is None:
        return grpc.insecure_channel(target.address, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=target.tls.ca, private_key=target.tls.key, certificate_chain=target.tls.cert
    )
    return grpc.secure_channel(target.address, credentials, options=options)
