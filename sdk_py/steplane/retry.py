"""How often and when something that failed is tried again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from steplane.codec import as_timedelta, encode_duration
from steplane.errors import ArgumentError
from steplane.gen.steplane.v1 import function_pb2

ATTEMPTS_MAX: Final = 21
DELAY_MAX: Final = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often and when a step, or a function, is tried again once it has failed.

    The waits grow from `first_delay` on: `Retry(attempts=5, first_delay=timedelta(seconds=1))` waits 1, 2, 4 and 8
    seconds. A number is milliseconds. What can't be is refused with an `ArgumentError`, which is a `ValueError`.
    """

    attempts: int
    """How many tries there are, the first included: 1 to 21. 1 means that nothing is tried again."""
    first_delay: timedelta | int
    """How long to wait before the second try: up to 24 hours."""
    factor: float = 2.0
    """How many times as long each further wait is: 1 or more. 1 makes all of them the same."""
    max_delay: timedelta | int | None = None
    """No wait is longer: up to 24 hours, which is the default."""
    jitter: timedelta | int | None = None
    """Up to so much is added to each wait, by chance, so that what failed together is not tried again together: up to 24
    hours. Nothing if not given: whoever says when gets it then."""

    def __post_init__(self) -> None:
        if not _is_number(self.attempts, int) or not 1 <= self.attempts <= ATTEMPTS_MAX:
            raise ArgumentError(f"Retry(attempts={self.attempts!r}): 1 to {ATTEMPTS_MAX}, the first one included")
        if not _is_number(self.factor, int | float) or not 1 <= self.factor < math.inf:
            raise ArgumentError(f"Retry(factor={self.factor!r}): 1 or more; 1 makes all waits the same")
        first = _checked("first_delay", self.first_delay)
        _checked("jitter", self.jitter or 0)
        if self.max_delay is not None and _checked("max_delay", self.max_delay) < first:
            raise ArgumentError(
                f"Retry(max_delay={self.max_delay!r}): it is less than first_delay={self.first_delay!r}"
            )


def policy_of(retry: Retry) -> function_pb2.RetryPolicy:
    """The same for the wire, where each wait is written down."""
    policy = function_pb2.RetryPolicy(retries=retry.attempts - 1)
    longest = as_timedelta(retry.max_delay) if retry.max_delay is not None else DELAY_MAX
    seconds = as_timedelta(retry.first_delay).total_seconds()
    for _ in range(retry.attempts - 1):
        policy.delays.append(encode_duration(timedelta(seconds=seconds)))
        seconds = min(seconds * retry.factor, longest.total_seconds())
    policy.jitter.CopyFrom(encode_duration(as_timedelta(retry.jitter or 0)))
    return policy


def _checked(name: str, delay: timedelta | int) -> timedelta:
    try:
        length = as_timedelta(delay)
    except (TypeError, OverflowError) as error:
        raise ArgumentError(f"Retry({name}={delay!r}): {error}") from error
    if not timedelta() <= length <= DELAY_MAX:
        raise ArgumentError(f"Retry({name}={delay!r}): it has to be from 0 to 24 hours; a number is milliseconds")
    return length


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
