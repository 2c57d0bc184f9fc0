"""Frames to the server as bytes.

Reports are kept as bytes until they are acknowledged, and go out many a frame, so their frame is put together from these
bytes: a message that repeats another is, on the wire, each of those with its tag and length before it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from typing import Final

from steplane.gen.steplane.v1 import work_pb2

_LENGTH_DELIMITED: Final = 2
_FRAME_TAG: Final = bytes([work_pb2.StreamWorkRequest.REPORTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_ITEM_TAG: Final = bytes([work_pb2.Reports.REPORTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
#: What a frame needs around one report: two tags and two lengths, rounded up.
OVERHEAD_BYTES: Final = 32


def hello(
    *,
    namespace: str,
    app_id: str,
    function_ids: Sequence[str],
    instance_id: str,
    held: Iterable[tuple[str, int]],
) -> bytes:
    """Who the worker is."""
    frame = work_pb2.StreamWorkRequest()
    hello = frame.hello
    hello.namespace = namespace
    hello.app_id = app_id
    hello.function_ids.extend(function_ids)
    hello.instance_id = instance_id
    hello.sdk = f"steplane-py/{_version()}"
    hello.language = f"python/{platform.python_version()}"
    hello.held.extend(_leases(held))
    return frame.SerializeToString()


def credit(invocation_limit: int) -> bytes:
    """How many invocations the server may have sent."""
    return work_pb2.StreamWorkRequest(credit=work_pb2.Credit(invocation_limit=invocation_limit)).SerializeToString()


def heartbeat(held: Iterable[tuple[str, int]]) -> bytes:
    """A sign of life."""
    return work_pb2.StreamWorkRequest(heartbeat=work_pb2.Heartbeat(held=_leases(held))).SerializeToString()


def release(leases: Iterable[tuple[str, int]]) -> bytes:
    """Invocations handed back."""
    return work_pb2.StreamWorkRequest(release=work_pb2.Release(leases=_leases(leases))).SerializeToString()


def drain() -> bytes:
    """No more invocations, please."""
    return work_pb2.StreamWorkRequest(drain=work_pb2.Drain()).SerializeToString()


def reports(items: Sequence[bytes], *, bytes_max: int) -> Iterator[bytes]:
    """Reports in as few frames as hold them; a report that is too large for any goes alone."""
    parts: list[bytes] = []
    size = 0
    for item in items:
        if parts and size + len(item) + OVERHEAD_BYTES > bytes_max:
            yield _reports_frame(parts)
            parts, size = [], 0
        parts += (_ITEM_TAG, _varint(len(item)), item)
        size += len(item) + OVERHEAD_BYTES
    if parts:
        yield _reports_frame(parts)


def _reports_frame(parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return b"".join((_FRAME_TAG, _varint(len(body)), body))


def _varint(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:  # noqa: PLR2004 seven bits a byte, and one that says whether more follow
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _leases(leases: Iterable[tuple[str, int]]) -> list[work_pb2.Lease]:
    return [work_pb2.Lease(run_id=run_id, epoch=epoch) for run_id, epoch in leases]


def _version() -> str:
    try:
        return metadata.version("steplane")
    except metadata.PackageNotFoundError:
        return "0"
