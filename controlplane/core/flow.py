"""The rules of flow control: keys, lanes, and what each control remembers. All of them are plain functions.

A key is an expression over `event`; where it gives `false` or null, or errs, its control is off for that event. A lane is a
queue of runs that face the same limits, so that only the first of each has to be looked at.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from controlplane.core.definition import Concurrency, FunctionRow, RateLimit, Scope, Throttle
from controlplane.core.expression import ERRED, canonical, evaluate, event_value
from controlplane.core.limits import PRIORITY_MAX, SECOND
from controlplane.core.records import EventRow, FlowKind, FlowRow, RunExtra, Slot, TimerKind, TimerRow

_HASH_BITS: Final = 63


class Seen:
    """An event as the expressions of a function see it: its data is read once, and only if one asks."""

    def __init__(self, event: EventRow) -> None:
        self._event = event
        self._variables: dict[str, Any] | None = None

    def value(self, source: str) -> Any:
        """The value of an expression, or `ERRED`."""
        if self._variables is None:
            try:
                self._variables = {"event": event_value(self._event)}
            except (ValueError, RecursionError):
                return ERRED
        return evaluate(source, self._variables)

    def key(self, source: str) -> str | None:
        """The value of a key as text; `None` if it switches its control off."""
        if not source:
            return ""
        value = self.value(source)
        if value is ERRED or value is None or value is False:
            return None
        try:
            return canonical(value)
        except RecursionError:
            return None  # nested too deeply to be compared


def hashed(*parts: object) -> int:
    """A number from 1 to 2⁶³ - 1 that stands for these parts."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> (64 - _HASH_BITS) or 1


def slots_of(function: FunctionRow, seen: Seen) -> tuple[Slot, ...]:
    """The places that a run needs."""
    slots = []
    for index, limit in enumerate(function.definition.options.concurrency):
        key = seen.key(limit.key)
        if key is not None:
            slots.append(Slot(index, hashed(*_sharing(function, index, limit), key), limit.holds_run))
    return tuple(slots)


def limit_of(function: FunctionRow, slot: Slot) -> int | None:
    """How many may have a place, as the function says today; `None` if it bounds them no more."""
    limits = function.definition.options.concurrency
    return limits[slot.limit_index].limit if slot.limit_index < len(limits) else None


def priority_of(source: str, seen: Seen) -> int:
    """How much earlier a run counts as queued, in microseconds. What can't be a number of seconds is 0."""
    value = seen.value(source) if source else 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 not a number
        return 0
    return int(max(-PRIORITY_MAX, min(PRIORITY_MAX, value * SECOND)))


def lane_of(extra: RunExtra, *, has_started: bool) -> int:
    """The lane that a run stands in: what it held back by changes once, when it has started."""
    keys = [slot.key for slot in extra.slots if not (has_started and slot.holds_run)]
    throttle = None if has_started else extra.throttle
    return hashed(*keys, throttle) if keys or throttle is not None else 0


def flush_timer(key: tuple[int, FlowKind, int], due_at: int) -> TimerRow:
    """The timer by which a buffer starts its run."""
    function_key, kind, hash_ = key
    return TimerRow(due_at, TimerKind.FLUSH, str(function_key), f"{kind:d} {hash_}")


def flush_key(timer: TimerRow) -> tuple[int, FlowKind, int]:
    """The buffer of such a timer."""
    kind, _, hash_ = timer.detail.partition(" ")
    return (int(timer.subject), FlowKind(int(kind)), int(hash_))


def lane_timer(function_key: int, lane: int, due_at: int) -> TimerRow:
    """The timer by which a throttled lane goes on."""
    return TimerRow(due_at, TimerKind.LANE, str(function_key), str(lane))


def take_rate(limit: RateLimit, key: tuple[int, FlowKind, int], row: FlowRow | None, now: int) -> FlowRow | None:
    """The row with one more start, or `None` if there were as many as there may be in the period that ends now."""
    starts = [start for start in (json.loads(row.value) if row is not None else ()) if start > now - limit.period]
    if len(starts) >= limit.limit:
        return None
    starts.append(now)
    return FlowRow(*key, json.dumps(starts), expires_at=now + limit.period)


def throttled_until(throttle: Throttle, row: FlowRow | None, now: int) -> int | None:
    """When the next run may start, by the generic cell rate algorithm; `None` if it may now."""
    if row is None:
        return None
    allowed_at = int(row.value) - (throttle.burst - 1) * _interval(throttle)
    return allowed_at if allowed_at > now else None


def take_throttle(throttle: Throttle, key: tuple[int, FlowKind, int], row: FlowRow | None, now: int) -> FlowRow:
    """The row with one more start."""
    arrival = max(now, int(row.value) if row is not None else 0) + _interval(throttle)
    return FlowRow(*key, str(arrival), expires_at=arrival)


def _interval(throttle: Throttle) -> int:
    # Rounded up: no stretch of time has one start more than it may.
    return -(-throttle.period // throttle.limit)


class Buffer(NamedTuple):
    """Events that wait for their run: those of a batch, or the one that a debounce holds."""

    due_at: int
    first_at: int
    event_keys: tuple[int, ...]
    size: int
    """Bytes of their data."""
    is_invoked: bool
    """Whether a step waits for the run."""


def read_buffer(row: FlowRow) -> Buffer:
    """The buffer of a row."""
    due_at, first_at, event_keys, size, is_invoked = json.loads(row.value)
    return Buffer(due_at, first_at, tuple(event_keys), size, is_invoked)


def write_buffer(key: tuple[int, FlowKind, int], buffer: Buffer) -> FlowRow:
    """The row of a buffer."""
    return FlowRow(*key, json.dumps(buffer), holds_event=min(buffer.event_keys))


def _sharing(function: FunctionRow, index: int, limit: Concurrency) -> tuple[object, ...]:
    match limit.scope:
        case Scope.FUNCTION:
            return ("function", function.key, index)
        case Scope.APP:
            return ("app", function.namespace, function.definition.app_id, limit.key)
        case Scope.NAMESPACE:
            return ("namespace", function.namespace, limit.key)
