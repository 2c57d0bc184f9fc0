"""Moments and durations as people say them, and as they type them. The present is an argument.

Moments are microseconds since 1970 here; 0 stands for one that never was.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_MILLISECOND: Final = 1_000
_SECOND: Final = 1_000 * _MILLISECOND
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d+)\s*(s|m|min|h|d|w)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: Timestamp) -> int:
    """A moment of the wire; 0 if it is unset."""
    return moment.seconds * _SECOND + moment.nanos // 1000


def absolute(moment: int, zone: tzinfo | None) -> str:
    """A moment to the second, in a time zone: the machine's if it is `None`."""
    return _datetime(moment).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def relative(moment: int, now: int) -> str:
    """A moment as it lies from now: `just now`, `3 min ago`, `in 2 h 5 min`. What comes is waited for: it is told closer."""
    distance = now - moment
    if abs(distance) < _SECOND:
        return "just now"
    return f"in {duration(-distance)}" if distance < 0 else f"{_largest(distance)} ago"


def duration(length: int) -> str:
    """A length of time to three digits or so: `0.4 ms`, `120 ms`, `1.2 s`, `3 min 4 s`, `2 d 3 h`."""
    length = max(length, 0)
    if length < 10 * _MILLISECOND:
        return f"{length / _MILLISECOND:.1f} ms"
    if length < _SECOND:
        return f"{length // _MILLISECOND} ms"
    if length < 10 * _SECOND:
        return f"{length / _SECOND:.1f} s"
    seconds = length // _SECOND
    for unit, size, minor, minor_size in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // minor_size
            return f"{seconds // size} {unit}" + (f" {rest} {minor}" if rest else "")
    return f"{seconds} s"


def exact_duration(length: int) -> str:
    """A length of time to its last part, as somebody set it: `5 s`, `1 min 30 s`, `1 d 2 h`, `0.25 s`."""
    seconds, rest = divmod(length, _SECOND)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number} {unit}")
    if seconds or rest or not parts:
        parts.append(f"{seconds + rest / _SECOND:g} s")
    return " ".join(parts)


def parse_duration(text: str) -> timedelta | None:
    """`90s`, `10m`, `2h`, `3d`, `1w`; `None` if it is no such thing."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    except OverflowError:
        return None


def parse_moment(text: str, zone: tzinfo | None) -> datetime | None:
    """An ISO 8601 date or moment, read in `zone` (the machine's if `None`) unless it has its own; `None` if it is not one."""
    try:
        found = datetime.fromisoformat(text.strip())
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone) if zone else found.astimezone()
        found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # OverflowError, OSError: far outside of what the machine's zone knows
        return None
    return found


def to_micros(moment: datetime) -> int:
    """A moment of a time zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _datetime(moment: int) -> datetime:
    return _EPOCH + timedelta(microseconds=moment)


def _largest(distance: int) -> str:
    seconds = distance // _SECOND
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
