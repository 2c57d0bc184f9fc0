"""How long to wait before something that failed is tried again."""

from __future__ import annotations

from typing import Final

from controlplane.core.definition import RetryPolicy
from controlplane.core.ids import Rng
from controlplane.core.limits import HOUR, MINUTE, RETRY_AFTER_MAX, RETRY_AFTER_MIN, SECOND

DEFAULT: Final = RetryPolicy(
    retries=4,
    delays=(
        15 * SECOND,
        30 * SECOND,
        1 * MINUTE,
        2 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        20 * MINUTE,
        40 * MINUTE,
        1 * HOUR,
        2 * HOUR,
    ),
    jitter=30 * SECOND,
)


def next_try(policy: RetryPolicy, *, failures: int, never: bool, after: int | None, now: int, rng: Rng) -> int | None:
    """When to try again after so many failures (1 or more), or `None` for never.

    A wish of the user's error (`never`, `after`) goes before the policy's delays, but not beyond its count of retries;
    `after` is kept between `RETRY_AFTER_MIN` and `RETRY_AFTER_MAX`.
    """
    if never or failures > policy.retries:
        return None
    if after is not None:
        return now + min(max(after, RETRY_AFTER_MIN), RETRY_AFTER_MAX)
    delay = policy.delays[min(failures, len(policy.delays)) - 1]
    return now + delay + int(policy.jitter * rng.random())
