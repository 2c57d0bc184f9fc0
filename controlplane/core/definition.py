"""A function as its app defines it: triggers, retries, flow control. All durations are microseconds.

Keys and conditions are CEL expressions over `event`; an empty key means one for all.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class EventTrigger(NamedTuple):
    """Starts a run for each event of a name; a "*" at the end matches any rest."""

    event: str
    expression: str = ""


class CronTrigger(NamedTuple):
    """Starts a run at each tick of a schedule."""

    cron: str
    time_zone: str = "UTC"


class RetryPolicy(NamedTuple):
    """How often and when something that failed is tried again."""

    retries: int
    delays: tuple[int, ...]
    jitter: int


class Batch(NamedTuple):
    """Collects events, and starts one run for all of them."""

    max_size: int
    timeout: int
    key: str = ""
    expression: str = ""
    """An event for which it is not true starts a run of its own."""


class CancelOn(NamedTuple):
    """An event that cancels runs: equal at `path` in the run's event and in this one, or `expression` is true."""

    event: str
    path: str = ""
    expression: str = ""
    timeout: int | None = None


class Scope(IntEnum):
    """Who shares a concurrency limit. The numbers are those of the wire."""

    FUNCTION = 1
    APP = 2
    NAMESPACE = 3


class Concurrency(NamedTuple):
    """How many may run at once."""

    limit: int
    key: str = ""
    scope: Scope = Scope.FUNCTION
    holds_run: bool = False
    """Whether it counts whole runs from start to end, and not live invocations."""


class Debounce(NamedTuple):
    """One run with the newest event, once it was quiet for a period, at the latest after the time-out."""

    period: int
    key: str = ""
    timeout: int | None = None


class RateLimit(NamedTuple):
    """How many may start in any period; the rest is skipped."""

    limit: int
    period: int
    key: str = ""


class Singleton(NamedTuple):
    """One queued, live or parked run a key."""

    key: str = ""
    cancels: bool = False
    """Whether a second one takes the first one's place, and is not skipped."""


class Throttle(NamedTuple):
    """How many may start in a period; the rest is delayed."""

    limit: int
    period: int
    burst: int = 1
    key: str = ""


class Timeouts(NamedTuple):
    """What takes longer is cancelled."""

    start: int | None = None
    finish: int | None = None


class Options(NamedTuple):
    """What a function's flow is controlled by."""

    batch: Batch | None = None
    cancel: tuple[CancelOn, ...] = ()
    concurrency: tuple[Concurrency, ...] = ()
    debounce: Debounce | None = None
    priority: str = ""
    """An expression that gives seconds."""
    rate_limit: RateLimit | None = None
    singleton: Singleton | None = None
    throttle: Throttle | None = None
    timeouts: Timeouts = Timeouts()
    idempotency: str = ""
    """An expression that gives the key."""


NO_OPTIONS: Final = Options()


class Definition(NamedTuple):
    """A function as its app defines it; every default is filled in."""

    app_id: str
    function_id: str
    name: str
    triggers: tuple[EventTrigger | CronTrigger, ...]
    retry: RetryPolicy
    options: Options = NO_OPTIONS


class FunctionState(IntEnum):
    """Whether a function does its work. The first three numbers are those of the wire."""

    ACTIVE = 1
    PAUSED = 2
    """Its runs queue up."""
    DISABLED = 3
    """Nothing starts it."""
    DELETED = 4
    """As disabled, and shown to nobody; only its old runs name it."""


class FunctionRow(NamedTuple):
    """A function as it is stored."""

    key: int
    namespace: str
    definition: Definition
    version: int
    created_at: int
    updated_at: int
    state: FunctionState = FunctionState.ACTIVE
