"""Pages of lists: how many a page, and the opaque tokens that say where the next one begins.

A token holds the cursor of the last item and a digest of the request that it came from: used with another list, or
with other filters, it is refused. It is no secret and grants nothing.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias

from controlplane.core.limits import PAGE_DEFAULT, PAGE_MAX
from controlplane.errors import FieldViolation, InvalidArgument
from controlplane.gen.steplane.v1 import function_pb2, run_pb2

_DIGEST_BYTES: Final = 8

ListRequest: TypeAlias = (
    run_pb2.ListRunsRequest | run_pb2.ListJournalRequest | run_pb2.ListEventsRequest | function_pb2.ListFunctionsRequest
)


class Page(NamedTuple):
    """Which part of a list is asked for."""

    size: int
    cursor: str
    """Of the last item before the page; empty on the first page."""


def read_page(request: ListRequest) -> Page:
    """The page that a request asks for; raises `InvalidArgument` if its size or its token is wrong."""
    if request.page_size < 0:
        raise InvalidArgument(FieldViolation("page_size", "must not be negative"))
    size = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)
    return Page(size, _read_token(request) if request.page_token else "")


def next_token(request: ListRequest, cursor: str) -> str:
    """The token of the page beyond the item that `cursor` stands for, in the list that `request` asked for."""
    return urlsafe_b64encode(_digest(request) + cursor.encode()).rstrip(b"=").decode()


def bad_token() -> InvalidArgument:
    """The error for a token that this server never gave out for this list."""
    return InvalidArgument(
        FieldViolation("page_token", "is not a token of this list with these filters; leave it empty to start again")
    )


def _read_token(request: ListRequest) -> str:
    token = request.page_token
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        cursor = raw[_DIGEST_BYTES:].decode()
    except ValueError:
        raise bad_token() from None
    if raw[:_DIGEST_BYTES] != _digest(request) or not cursor or next_token(request, cursor) != token:
        raise bad_token()
    return cursor


def _digest(request: ListRequest) -> bytes:
    filters = type(request)()
    filters.CopyFrom(request)  # type: ignore[arg-type]  # both are of the same one of the four types
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    name = request.DESCRIPTOR.full_name.encode()
    return blake2b(name + b"\0" + filters.SerializeToString(deterministic=True), digest_size=_DIGEST_BYTES).digest()
