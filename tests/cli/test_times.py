"""Moments and durations as people say and type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from controlplane.client_commands.show.times import (
    absolute,
    duration,
    parse_duration,
    parse_moment,
    relative,
    to_micros,
)

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (-5, "0.0 ms"),
        (0, "0.0 ms"),
        (350, "0.3 ms"),
        (9_900, "9.9 ms"),
        (120_400, "120 ms"),
        (1_240_000, "1.2 s"),
        (59 * SECOND, "59 s"),
        (60 * SECOND, "1 min"),
        (184 * SECOND, "3 min 4 s"),
        (3_600 * SECOND, "1 h"),
        (7_260 * SECOND, "2 h 1 min"),
        (2 * 86_400 * SECOND + 3 * 3_600 * SECOND, "2 d 3 h"),
    ],
)
def test_durations_are_said_in_two_units_at_most(length: int, text: str) -> None:
    """A duration is as exact as somebody wants to read it."""
    assert duration(length) == text


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (0.4, "just now"),
        (-0.4, "just now"),
        (3, "3 s ago"),
        (150, "2 min ago"),
        (-7_300, "in 2 h 1 min"),
        (200_000, "2 d ago"),
    ],
)
def test_moments_are_said_as_they_lie_from_now(distance: float, text: str) -> None:
    """The past is ago, the future is in."""
    assert relative(1_000_000 * SECOND - round(distance * SECOND), 1_000_000 * SECOND) == text


def test_moments_are_said_in_a_time_zone() -> None:
    """The time of day is that of the zone."""
    assert absolute(0, UTC) == "1970-01-01 00:00:00"
    assert absolute(0, timezone(timedelta(hours=2))) == "1970-01-01 02:00:00"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("10 min", 600), ("2h", 7_200), ("3d", 259_200)]
)
def test_durations_can_be_typed(text: str, seconds: int) -> None:
    """A number and a unit."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "10", "-1h", "1.5h", "2h 3m", "9" * 30 + "w"])
def test_what_is_no_duration_is_none(text: str) -> None:
    """Anything else is not guessed at."""
    assert parse_duration(text) is None


def test_moments_can_be_typed() -> None:
    """ISO 8601, in its own zone or in the one that is given."""
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert parse_moment("2026-01-31T12:00:00Z", None) == noon
    assert parse_moment("2026-01-31T14:00:00", timezone(timedelta(hours=2))) == noon
    assert parse_moment("2026-01-31", UTC) == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "0001-01-01T00:00:00+10:00"])
def test_what_is_no_moment_is_none(text: str) -> None:
    """Anything else is not guessed at."""
    assert parse_moment(text, UTC) is None


def test_a_moment_is_exact_to_the_microsecond() -> None:
    """Nothing is rounded on the way to the wire."""
    assert to_micros(datetime(2026, 1, 1, 0, 0, 0, 123_457, tzinfo=UTC)) % SECOND == 123_457
