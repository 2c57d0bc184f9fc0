"""When something that failed is tried again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.definition import RetryPolicy
from controlplane.core.limits import HOUR, MINUTE, RETRY_AFTER_MAX, RETRY_AFTER_MIN, SECOND
from controlplane.core.retry import DEFAULT, next_try

NOW = 1_790_000_000 * SECOND
POLICY = RetryPolicy(retries=3, delays=(10 * SECOND, 20 * SECOND), jitter=0)

CASES: list[tuple[int, bool, int | None, int | None]] = [
    # failures, never, after, the wait
    (1, False, None, 10 * SECOND),
    (2, False, None, 20 * SECOND),
    (3, False, None, 20 * SECOND),  # the last delay is that of all further tries
    (4, False, None, None),  # 1 try and 3 retries
    (99, False, None, None),
    (1, True, None, None),
    (1, True, 5 * SECOND, None),  # never is never
    (1, False, 5 * SECOND, 5 * SECOND),
    (3, False, 5 * SECOND, 5 * SECOND),
    (4, False, 5 * SECOND, None),  # a wish makes no further try
    (1, False, 0, RETRY_AFTER_MIN),
    (1, False, RETRY_AFTER_MIN - 1, RETRY_AFTER_MIN),
    (1, False, RETRY_AFTER_MAX, RETRY_AFTER_MAX),
    (1, False, RETRY_AFTER_MAX + 1, RETRY_AFTER_MAX),
]


@pytest.mark.parametrize(("failures", "never", "after", "wait"), CASES)
def test_waits(failures: int, never: bool, after: int | None, wait: int | None) -> None:
    """The policy's delays, the wishes of the user's error, and the end."""
    due_at = next_try(POLICY, failures=failures, never=never, after=after, now=NOW, rng=random.Random(0))

    assert (None if wait is None else NOW + wait) == due_at


def test_no_retries_means_one_try() -> None:
    """The first failure is final if there are no retries."""
    policy = POLICY._replace(retries=0)

    assert next_try(policy, failures=1, never=False, after=SECOND, now=NOW, rng=random.Random(0)) is None


def test_the_default_policy() -> None:
    """Unless told otherwise something is tried five times, and the waits are those of the guide."""

    assert (DEFAULT.retries, DEFAULT.jitter) == (4, 30 * SECOND)
    assert [delay // SECOND for delay in DEFAULT.delays] == [15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200]


@given(
    st.integers(1, 25),
    st.integers(0, 20),
    st.lists(st.integers(0, 2 * HOUR), min_size=1, max_size=20),
    st.integers(0, MINUTE),
    st.integers(),
)
def test_a_wait_is_a_delay_and_a_part_of_the_jitter(
    failures: int, retries: int, delays: list[int], jitter: int, seed: int
) -> None:
    """Chance adds less than the jitter, or nothing, and never takes away."""
    policy = RetryPolicy(retries, tuple(delays), jitter)
    due_at = next_try(policy, failures=failures, never=False, after=None, now=NOW, rng=random.Random(seed))

    if failures > retries:
        assert due_at is None
    else:
        assert due_at is not None
        delay = delays[min(failures, len(delays)) - 1]
        assert NOW + delay <= due_at <= NOW + delay + jitter
