"""A function's flow control: when its runs start, how many there are, and what ends them.

Each is an argument of `create_function`, and is checked by the server when a worker registers the function. A `key` is a
CEL expression over `event`, for example `event.data.user_id`: the control works for each of its values on its own, or
for all events together if it is empty. A key that gives `false` or `null` switches the control off for that event.
Durations are a `timedelta`, or a number of milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One run for many events, which it has as `ctx.events`. Not together with debounce, singleton, priority or cancel."""

    max_size: int
    """A batch of so many events starts its run at once: 2 to 100. One of 4 MiB is full as well."""
    timeout: timedelta | int
    """How long the first event of a batch waits at the most: 1 second to 7 days."""
    key: str = ""
    """A batch for each value of this expression; one for all if empty."""
    if_exp: str = ""
    """A CEL expression over `event`: one for which it is not true starts a run of its own at once. Always, if empty."""


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """An event that cancels runs: those that wait at once, one that is live where it next awaits, or calls a step."""

    event: str
    """The event's name; a `*` at its end matches any rest."""
    match: str = ""
    """A path, for example `data.user_id`, that has to have the same value in the event that started the run and in this
    one."""
    if_exp: str = ""
    """A CEL expression over `event`, which started the run, and `async`, which is this one, that has to be true. Not
    together with `match`."""
    timeout: timedelta | int | None = None
    """For how long after its start a run can be cancelled so: up to 366 days, which is the default."""


@dataclass(frozen=True, kw_only=True)
class Concurrency:
    """Bounds how many run at once. The rest waits, in order."""

    limit: int
    """How many: 1 to 100,000."""
    key: str = ""
    """A limit for each value of this expression; one for all if empty."""
    scope: Literal["fn", "app", "namespace"] = "fn"
    """Who shares the limit: the runs of this function, or of all functions of the app, or of the namespace, that name the
    same key with this scope."""
    hold: Literal["invocation", "run"] = "invocation"
    """What counts: runs that are live, so that one that sleeps or waits does not, or whole runs from start to end."""


@dataclass(frozen=True, kw_only=True)
class Debounce:
    """One run, with the newest event, once events have been quiet for a while."""

    period: timedelta | int
    """How long it has to be quiet: 1 second to 7 days."""
    key: str = ""
    """Each value of this expression on its own; all together if empty."""
    timeout: timedelta | int | None = None
    """How long the first event waits at the most: up to 366 days; for ever if not given."""


@dataclass(frozen=True, kw_only=True)
class Priority:
    """Moves a run in the queue of its function."""

    run: str
    """A CEL expression over `event` that gives seconds, -600 to 600: how much earlier the run counts as queued."""


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """Bounds how many runs start in any period. What is beyond it is skipped, which is recorded."""

    limit: int
    """How many: 1 to 1,000."""
    period: timedelta | int
    """The period: 1 second to 24 hours."""
    key: str = ""
    """A limit for each value of this expression; one for all if empty."""


@dataclass(frozen=True, kw_only=True)
class Singleton:
    """One run at a time, be it queued, live or waiting."""

    key: str = ""
    """One for each value of this expression; one for all if empty."""
    mode: Literal["skip", "cancel"] = "skip"
    """What becomes of a second one: it is skipped, or takes the place of the first, which is cancelled."""


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """Bounds how many runs start in a period, at an even flow. The rest waits, in order."""

    limit: int
    """How many: 1 to 100,000."""
    period: timedelta | int
    """The period: 1 second to 7 days."""
    burst: int = 0
    """How many may start at once beyond an even flow: up to the limit; the server's default, which is 1, if 0."""
    key: str = ""
    """A limit for each value of this expression; one for all if empty."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Cancels a run that takes too long."""

    start: timedelta | int | None = None
    """How long a run may be queued before it first starts: 1 second to 366 days; for ever if not given."""
    finish: timedelta | int | None = None
    """How long it may take from its first start to its end: 1 second to 366 days; for ever if not given."""
