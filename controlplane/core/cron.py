"""Cron lines: checked when they are registered, and the ticks before and after a moment.

Fields are read in the trigger's time zone. Where clocks are set forward, a tick that falls into the gap comes at its end;
where they are set back, a tick at a fixed hour comes once, and one at every hour ("*") comes in each of the two hours.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from controlplane.core.limits import SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = 5
_BY_CHANCE = re.compile(r"(?<![a-z])[rh](?![a-z])", re.IGNORECASE)


def check(line: str, time_zone: str) -> str | None:
    """What is wrong with a cron line and its time zone, or `None`."""
    try:
        _zone(time_zone)
    except (LookupError, OSError, ValueError):
        return f"time zone {time_zone!r} is not one of the IANA database, such as Europe/Berlin"
    fields = line.split()
    if not (len(fields) == _FIELDS or (len(fields) == 1 and line.startswith("@"))):
        return f"{line!r} has {len(fields)} fields; a cron line has {_FIELDS}: minute hour day month weekday"
    if _BY_CHANCE.search(line):
        return f"{line!r} names no fixed moments: R and H are not taken"
    try:
        next_tick(line, time_zone, 0)
    except (CroniterError, ValueError, KeyError) as error:
        return f"{line!r} is not a cron line: {error}"
    return None


def next_tick(line: str, time_zone: str, after: int) -> int:
    """The first tick after a moment."""
    return _step(line, time_zone, after, forward=True)


def last_tick(line: str, time_zone: str, until: int) -> int:
    """The latest tick at a moment or before it."""
    return _step(line, time_zone, until + 1, forward=False)


def _step(line: str, time_zone: str, moment: int, *, forward: bool) -> int:
    start = (_EPOCH + timedelta(microseconds=moment)).astimezone(_zone(time_zone))
    ticks = croniter(line, start)
    hour_is_free = len(line.split()) == _FIELDS and line.split()[1].startswith("*")
    while True:
        tick: datetime = ticks.get_next(datetime) if forward else ticks.get_prev(datetime)
        if hour_is_free or line == "@hourly" or not _is_repeated(tick):
            return int((tick - _EPOCH).total_seconds()) * SECOND


def _is_repeated(tick: datetime) -> bool:
    """Whether the clock showed this before it was set back. A `fold` alone tells little: it may be set at any time."""
    return tick.fold == 1 and tick.utcoffset() != tick.replace(fold=0).utcoffset()


@lru_cache(maxsize=1_000)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name or "UTC")
