"""Which lines are taken, and when they tick: across both changes of the clock, leap days and gaps."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.cron import check, last_tick, next_tick
from controlplane.core.limits import DAY, HOUR, SECOND

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def moment(text: str) -> int:
    """A moment of ISO 8601 in microseconds."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def shown(value: int, zone: str) -> str:
    """A moment as ISO 8601 in a time zone."""
    return (EPOCH + timedelta(microseconds=value)).astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")


GOOD = [
    ("* * * * *", "UTC"),
    ("*/5 9-17 * * mon-fri", "Europe/Berlin"),
    ("0 0 29 2 *", "UTC"),
    ("0 12 l * *", "UTC"),
    ("0 12 * * 0", "UTC"),
    ("0 12 * * 7", "UTC"),
    ("0 12 * mar,apr thu", "Asia/Kathmandu"),
    ("@hourly", "UTC"),
    ("@daily", "America/New_York"),
    ("0 0 * * *", ""),
]
BAD = [
    ("", "UTC", "has 0 fields"),
    ("* * * *", "UTC", "has 4 fields"),
    ("* * * * * *", "UTC", "has 6 fields"),
    ("60 * * * *", "UTC", "is not a cron line"),
    ("* 24 * * *", "UTC", "is not a cron line"),
    ("* * 0 * *", "UTC", "is not a cron line"),
    ("* * * 13 *", "UTC", "is not a cron line"),
    ("* * * * 8", "UTC", "is not a cron line"),
    ("a b c d e", "UTC", "is not a cron line"),
    ("0 0 30 2 *", "UTC", "is not a cron line"),
    ("@often", "UTC", "is not a cron line"),
    ("@reboot", "UTC", "is not a cron line"),
    ("r * * * *", "UTC", "names no fixed moments"),
    ("H * * * *", "UTC", "names no fixed moments"),
    ("*/0 * * * *", "UTC", "is not a cron line"),
    ("* * * * *", "Mars/Olympus", "is not one of the IANA database"),
    ("* * * * *", "../etc/passwd", "is not one of the IANA database"),
    ("* * * * *", "a\0b", "is not one of the IANA database"),
    ("* * * * *", "Europe", "is not one of the IANA database"),
]
TICKS: list[tuple[str, str, str, list[str]]] = [
    ("*/15 * * * *", "UTC", "2026-03-01T10:07+00:00", ["2026-03-01T10:15+00:00", "2026-03-01T10:30+00:00"]),
    ("0 6 * * 1", "UTC", "2026-03-01T10:00+00:00", ["2026-03-02T06:00+00:00", "2026-03-09T06:00+00:00"]),
    # A leap day, and the century that has none.
    ("0 0 29 2 *", "UTC", "2025-01-01T00:00+00:00", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
    ("0 0 29 2 *", "UTC", "2096-03-01T00:00+00:00", ["2104-02-29T00:00+00:00"]),
    ("59 23 31 12 *", "UTC", "2026-12-31T23:59+00:00", ["2027-12-31T23:59+00:00"]),
    ("0 0 l * *", "UTC", "2028-02-01T00:00+00:00", ["2028-02-29T00:00+00:00", "2028-03-31T00:00+00:00"]),
    # Clocks are set forward: what falls into the gap comes at its end.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00+00:00",
        ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
    ),
    (
        "0 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:00+00:00",
        ["2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"],
    ),
    # Clocks are set back: a fixed hour comes once, every hour comes in each.
    (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00+00:00",
        ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
    ),
    (
        "30 * * * *",
        "Europe/Berlin",
        "2026-10-25T00:00+00:00",
        ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00"],
    ),
    (
        "@hourly",
        "Europe/Berlin",
        "2026-10-25T00:00+00:00",
        ["2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"],
    ),
    (
        "30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00+00:00",
        ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"],
    ),
    ("0 9 * * *", "Asia/Kathmandu", "2026-01-01T00:00+00:00", ["2026-01-01T09:00+05:45"]),
]


@pytest.mark.parametrize(("line", "zone"), GOOD)
def test_good_lines_are_taken(line: str, zone: str) -> None:
    """Five fields, names, the last day, shorthands, any zone of the IANA database."""

    assert check(line, zone) is None


@pytest.mark.parametrize(("line", "zone", "problem"), BAD)
def test_bad_lines_are_refused_with_the_reason(line: str, zone: str, problem: str) -> None:
    """What can't tick is refused when it is registered, and says why."""

    assert problem in (check(line, zone) or "")


@pytest.mark.parametrize(("line", "zone", "start", "ticks"), TICKS)
def test_ticks_follow_each_other(line: str, zone: str, start: str, ticks: list[str]) -> None:
    """Each tick is the first one after the tick before."""
    found = []
    at = moment(start)
    for _ in ticks:
        at = next_tick(line, zone, at)
        found.append(shown(at, zone))

    assert ticks == found


@pytest.mark.parametrize(("line", "zone", "start", "ticks"), TICKS)
def test_the_last_tick_at_a_tick_is_that_tick(line: str, zone: str, start: str, ticks: list[str]) -> None:
    """At a tick, and until the next one, it is the latest."""
    for tick in ticks:
        at = moment(tick)
        assert tick == shown(last_tick(line, zone, at), zone)
        assert tick == shown(last_tick(line, zone, next_tick(line, zone, at) - 1), zone)
        assert at > last_tick(line, zone, at - 1)


ODD = [
    ("30 2 * * *", "Europe/Berlin"),
    ("0,30 1-3 * * *", "Europe/Berlin"),
    ("0 */2 * * *", "Europe/Berlin"),
    ("15 2 * * *", "Australia/Lord_Howe"),  # its clocks are changed by half an hour
    ("45 1 * * *", "Australia/Lord_Howe"),
    ("0 0 * * *", "America/Havana"),  # changed at midnight
]
CHANGES = [
    moment(text)
    for text in (
        "2026-03-29T01:00+00:00",
        "2026-10-25T01:00+00:00",
        "2026-04-04T15:00+00:00",
        "2026-10-03T15:30+00:00",
        "2026-03-08T05:00+00:00",
        "2026-11-01T05:00+00:00",
    )
]


@given(
    st.sampled_from([(line, zone) for line, zone in GOOD + ODD if "29 2" not in line]),
    st.integers(moment("2020-01-01T00:00+00:00"), moment("2035-01-01T00:00+00:00"))
    | st.builds(int.__add__, st.sampled_from(CHANGES), st.integers(-4 * HOUR, 4 * HOUR)),
)
def test_ticks_are_after_and_until(trigger: tuple[str, str], now: int) -> None:
    """The next tick is later than now, the last is not, and none is between them."""
    line, zone = trigger
    after, until = next_tick(line, zone, now), last_tick(line, zone, now)

    assert until <= now < after
    assert after == next_tick(line, zone, until)
    assert after - until <= 400 * DAY
    assert after % SECOND == 0
