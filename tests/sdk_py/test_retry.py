"""How often and when something is tried again: what users write, and the waits that come of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steplane import ArgumentError, Retry
from steplane.retry import policy_of

SECOND = timedelta(seconds=1)
DAY = timedelta(hours=24)


def delays(retry: Retry) -> list[timedelta]:
    """The waits as the server is told them."""
    return [delay.ToTimedelta() for delay in policy_of(retry).delays]


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (Retry(attempts=1, first_delay=SECOND), []),
        (Retry(attempts=2, first_delay=0), [timedelta()]),
        (Retry(attempts=5, first_delay=SECOND), [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]),
        (Retry(attempts=4, first_delay=SECOND, factor=1), [SECOND] * 3),
        (Retry(attempts=4, first_delay=100, factor=1.5), [SECOND / 10, SECOND * 3 / 20, SECOND * 9 / 40]),
        (Retry(attempts=5, first_delay=SECOND, max_delay=3000), [SECOND, 2 * SECOND, 3 * SECOND, 3 * SECOND]),
        (Retry(attempts=4, first_delay=SECOND, factor=1e300), [SECOND, DAY, DAY]),
        (Retry(attempts=3, first_delay=DAY), [DAY, DAY]),
    ],
)
def test_waits_grow_up_to_the_longest(retry: Retry, expected: list[timedelta]) -> None:
    """Each is the factor times the one before, and there is one for each further try."""
    assert delays(retry) == expected
    assert policy_of(retry).retries == retry.attempts - 1


@given(
    attempts=st.integers(1, 21),
    first=st.integers(0, 86_400_000),
    factor=st.floats(1, 1e308),
    extra=st.none() | st.integers(0, 1000),
)
def test_the_server_takes_every_retry(attempts: int, first: int, factor: float, extra: int | None) -> None:
    """Whatever can be written has waits within the server's bounds, which never shrink."""
    longest = None if extra is None else min(first + extra, 86_400_000)
    found = delays(Retry(attempts=attempts, first_delay=first, factor=factor, max_delay=longest))
    assert found == sorted(found)
    assert all(timedelta() <= delay <= DAY for delay in found)
    assert len(found) == attempts - 1


def test_jitter_is_said_in_any_case() -> None:
    """Whoever says when wants it then: without a word there is none, and not the server's 30 seconds."""
    silent = policy_of(Retry(attempts=2, first_delay=SECOND))
    assert (silent.HasField("jitter"), silent.jitter.ToTimedelta()) == (True, timedelta())
    assert policy_of(Retry(attempts=2, first_delay=SECOND, jitter=SECOND)).jitter.ToTimedelta() == SECOND


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"attempts": 0}, "attempts=0): 1 to 21, the first one included"),
        ({"attempts": 22}, "attempts=22): 1 to 21"),
        ({"attempts": True}, "attempts=True): 1 to 21"),
        ({"attempts": 1.5}, "attempts=1.5): 1 to 21"),
        ({"factor": 0.99}, "factor=0.99): 1 or more"),
        ({"factor": float("nan")}, "factor=nan): 1 or more"),
        ({"factor": float("inf")}, "factor=inf): 1 or more"),
        ({"factor": "2"}, "factor='2'): 1 or more"),
        ({"first_delay": -1}, "first_delay=-1): it has to be from 0 to 24 hours"),
        (
            {"first_delay": 86_400_001},
            "first_delay=86400001): it has to be from 0 to 24 hours; a number is milliseconds",
        ),
        ({"first_delay": 1.5}, "first_delay=1.5): a duration is a timedelta or a number of milliseconds"),
        ({"max_delay": 999}, "max_delay=999): it is less than first_delay=1000"),
        ({"max_delay": 2 * DAY}, "it has to be from 0 to 24 hours"),
        ({"jitter": -1}, "jitter=-1): it has to be from 0 to 24 hours"),
    ],
)
def test_what_can_t_be_is_refused_where_it_is_written(wrong: dict[str, Any], words: str) -> None:
    """As a ValueError that names the argument and its bounds; in a run it is not tried again."""
    with pytest.raises(ValueError, match=r"^Retry\(") as raised:
        Retry(**{"attempts": 3, "first_delay": 1000, **wrong})
    assert isinstance(raised.value, ArgumentError)
    assert words in str(raised.value)
