"""Values ⇄ bytes, events, durations and moments."""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steplane import Event, NotSerializableError, SteplaneError
from steplane.codec import (
    as_timedelta,
    decode,
    decode_duration,
    decode_event,
    encode,
    encode_duration,
    encode_event,
    encode_moment,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values) | st.tuples(values, values),
    max_leaves=8,
)


class Colour(str, enum.Enum):  # noqa: UP042 the older way is in use, too
    """A text that is more than a text."""

    RED = "red"


@given(JSON)
def test_the_first_execution_sees_what_a_replay_sees(value: Any) -> None:
    """What a step returns at first is what every replay of it returns: tuples are lists in both."""
    try:
        data, replayed = encode(value, "the result of step", "a")
    except NotSerializableError:
        assert "\\ud" in repr(value)
        return
    assert replayed == decode(data)
    assert type(replayed) is type(decode(data))
    assert json.loads(data) == replayed


@pytest.mark.parametrize(
    ("value", "replayed"), [((1, 2), [1, 2]), ({1: {None: 2}}, {"1": {"null": 2}}), (Colour.RED, "red"), (True, True)]
)
def test_values_become_what_json_has(value: Any, replayed: Any) -> None:
    """Tuples become lists and keys texts already in the first execution."""
    _, seen = encode(value, "the result of step", "a")
    assert seen == replayed
    assert type(seen) is type(replayed)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "datetime is not JSON serializable"),
        ({1, 2}, "set is not JSON serializable"),
        (float("nan"), "not JSON compliant"),
        (b"bytes", "bytes is not JSON serializable"),
        ("\ud800", "surrogates not allowed"),
    ],
)
def test_what_json_lacks_is_refused_with_a_remedy(value: Any, problem: str) -> None:
    """A value that JSON can't carry is refused; the error names the step, the problem and what to do."""
    with pytest.raises(NotSerializableError, match=rf"the result of step 'a#0' is not JSON: .*{problem}.*asdict"):
        encode(value, "the result of step", "a#0")


def test_a_value_that_contains_itself_is_refused() -> None:
    """So is one that has no end."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotSerializableError, match="is not JSON"):
        encode(loop, "the result of step", "a#0")


def test_nothing_at_all_is_none() -> None:
    """No bytes are no value; an encoding of a newer SDK is an error that names it."""
    assert decode(b"") is None
    assert decode(b"1", "json") == 1
    with pytest.raises(SteplaneError, match="'zstd'"):
        decode(b"1", "zstd")


def test_an_event_survives_the_wire() -> None:
    """What is sent is what a function gets, to the millisecond."""
    event = Event(
        name="shop/order.created",
        data={"total": 1.5, "items": ["ä"]},
        id="e1",
        ts=1_700_000_000_123,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        tracestate="a=1",
    )
    assert decode_event(encode_event(event, index=0)) == event
    bare = Event(name="a")
    assert decode_event(encode_event(bare, index=0)) == bare
    assert not encode_event(bare, index=0).HasField("ts")


@pytest.mark.parametrize(
    ("data", "problem"), [([1], "is a list; it has to be a dict"), ({"x": object()}, "is not JSON")]
)
def test_an_event_that_is_no_object_is_refused(data: Any, problem: str) -> None:
    """An event's data is a JSON object; the error names the event's place and name."""
    with pytest.raises(NotSerializableError, match=rf"event 3,? \(?'a/b'.*{problem}"):
        encode_event(Event(name="a/b", data=data), index=3)


def test_a_moment_is_milliseconds() -> None:
    """An event's ts may be a moment with a time zone; without one nobody knows when it is."""
    moment = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert Event(name="a", ts=moment).ts == 1_767_225_600_000
    with pytest.raises(ValueError, match="no time zone"):
        Event(name="a", ts=datetime(2026, 1, 1))  # noqa: DTZ001 that is the point


@pytest.mark.parametrize(
    ("duration", "expected"), [(1500, timedelta(seconds=1.5)), (timedelta(days=2), timedelta(days=2)), (0, timedelta())]
)
def test_durations_are_timedeltas_or_milliseconds(duration: timedelta | int, expected: timedelta) -> None:
    """A number is milliseconds."""
    assert as_timedelta(duration) == expected


@pytest.mark.parametrize("duration", ["1s", 1.5, True, None])
def test_other_durations_are_refused(duration: Any) -> None:
    """Texts, fractions and the like could mean anything."""
    with pytest.raises(TypeError, match="timedelta or a number of milliseconds"):
        as_timedelta(duration)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400)))
def test_durations_survive_the_wire(duration: timedelta) -> None:
    """To the microsecond."""
    message = encode_duration(duration)
    assert message.ToTimedelta() == duration
    assert decode_duration(message) == pytest.approx(duration.total_seconds())


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 as hypothesis wants it
def test_moments_survive_the_wire(moment: datetime) -> None:
    """To the microsecond."""
    assert encode_moment(moment).ToDatetime(tzinfo=UTC) == moment


def test_a_moment_needs_a_time_zone() -> None:
    """Without one nobody knows when it is."""
    with pytest.raises(ValueError, match="no time zone"):
        encode_moment(datetime(2026, 1, 1))  # noqa: DTZ001 that is the point
