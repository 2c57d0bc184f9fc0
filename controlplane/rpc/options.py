"""A function's flow control: protobuf ⇄ records, and what is wrong with it, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from controlplane.core import expression
from controlplane.core.definition import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Options,
    RateLimit,
    Scope,
    Singleton,
    Throttle,
    Timeouts,
)
from controlplane.core.limits import (
    BATCH_SIZE_MAX,
    BATCH_SIZE_MIN,
    CANCELS_MAX,
    CONCURRENCY_LIMITS_MAX,
    CONCURRENCY_MAX,
    DAY,
    HOUR,
    PERIOD_MAX,
    PERIOD_MIN,
    RATE_MAX,
    RATE_PERIOD_MAX,
    SECOND,
    THROTTLE_MAX,
    WAIT_MAX,
)
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import function_pb2
from controlplane.rpc import validate
from controlplane.rpc.translate import duration_of, set_duration

_BOTH: Final = frozenset({"event", "async"})
#: What a function with batches can't have: it needs to know its run when an event comes.
_NOT_WITH_BATCH: Final = ("debounce", "singleton", "priority", "cancel", "idempotency")
_SCOPES: Final = frozenset(Scope) | {0}
_HOLDS: Final = frozenset({0, function_pb2.CONCURRENCY_HOLD_INVOCATION, function_pb2.CONCURRENCY_HOLD_RUN})
_MODES: Final = frozenset({0, function_pb2.SINGLETON_MODE_SKIP, function_pb2.SINGLETON_MODE_CANCEL})


def check(definition: function_pb2.FunctionDefinition, found: validate.Violations) -> None:
    """Find what is wrong."""
    found.extend(FieldViolation(f"definition.{field}", problem) for field, problem in _problems(definition))


def _problems(definition: function_pb2.FunctionDefinition) -> Iterator[tuple[str, str]]:
    if definition.HasField("batch"):
        yield from _batch(definition)
    yield from _cancels(definition)
    yield from _concurrency(definition)
    if definition.HasField("debounce"):
        debounce = definition.debounce
        yield from _duration("debounce.period", debounce.period, PERIOD_MIN, PERIOD_MAX)
        yield from _key("debounce.key", debounce.key)
        if debounce.HasField("timeout"):
            yield from _duration("debounce.timeout", debounce.timeout, PERIOD_MIN, WAIT_MAX)
    if definition.HasField("priority"):
        yield from _expression("priority.run", definition.priority.run)
    yield from _rates(definition)
    if definition.HasField("singleton"):
        yield from _key("singleton.key", definition.singleton.key)
        yield from _choice("singleton.mode", definition.singleton.mode, _MODES)
    for name in ("start", "finish"):
        if definition.timeouts.HasField(name):
            yield from _duration(f"timeouts.{name}", getattr(definition.timeouts, name), PERIOD_MIN, WAIT_MAX)
    if definition.HasField("idempotency"):
        yield from _expression("idempotency.key", definition.idempotency.key)


def _rates(definition: function_pb2.FunctionDefinition) -> Iterator[tuple[str, str]]:
    if definition.HasField("rate_limit"):
        limit = definition.rate_limit
        yield from _number("rate_limit.limit", limit.limit, 1, RATE_MAX)
        yield from _duration("rate_limit.period", limit.period, PERIOD_MIN, RATE_PERIOD_MAX)
        yield from _key("rate_limit.key", limit.key)
    if definition.HasField("throttle"):
        yield from _throttle(definition.throttle)


def _batch(definition: function_pb2.FunctionDefinition) -> Iterator[tuple[str, str]]:
    batch = definition.batch
    yield from _number("batch.max_size", batch.max_size, BATCH_SIZE_MIN, BATCH_SIZE_MAX)
    yield from _duration("batch.timeout", batch.timeout, PERIOD_MIN, PERIOD_MAX)
    yield from _key("batch.key", batch.key)
    yield from _key("batch.expression", batch.expression)
    for name in _NOT_WITH_BATCH:
        if definition.cancel if name == "cancel" else definition.HasField(name):
            yield "batch", f"can't be had together with {name}: its run is not known yet when an event comes"


def _cancels(definition: function_pb2.FunctionDefinition) -> Iterator[tuple[str, str]]:
    if len(definition.cancel) > CANCELS_MAX:
        yield "cancel", f"has {len(definition.cancel)} events; {CANCELS_MAX} are the most"
    for index, cancel in enumerate(definition.cancel[:CANCELS_MAX]):
        field = f"cancel[{index}]"
        yield from waited(field, cancel)
        if cancel.HasField("timeout"):
            yield from _duration(f"{field}.timeout", cancel.timeout, PERIOD_MIN, WAIT_MAX)


def waited(field: str, message: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with an event that is waited for: its name, and one condition at the most."""
    if problem := validate.pattern_problem(message.event):
        yield f"{field}.event", problem
    if message.match and message.expression:
        yield f"{field}.expression", "can't be had together with match: write both into the expression"
    if message.match and (problem := validate.path_problem(message.match)):
        yield f"{field}.match", problem
    if message.expression and (problem := expression.check(message.expression, _BOTH)):
        yield f"{field}.expression", problem


def _concurrency(definition: function_pb2.FunctionDefinition) -> Iterator[tuple[str, str]]:
    limits = definition.concurrency
    if len(limits) > CONCURRENCY_LIMITS_MAX:
        yield "concurrency", f"has {len(limits)} limits; {CONCURRENCY_LIMITS_MAX} are the most"
        return
    for index, limit in enumerate(limits):
        field = f"concurrency[{index}]"
        yield from _number(f"{field}.limit", limit.limit, 1, CONCURRENCY_MAX)
        yield from _key(f"{field}.key", limit.key)
        yield from _choice(f"{field}.scope", limit.scope, _SCOPES)
        yield from _choice(f"{field}.hold", limit.hold, _HOLDS)
    for (_, first), (index, second) in combinations(enumerate(limits), 2):
        if first.key == second.key and (first.scope or 1) == (second.scope or 1):
            yield f"concurrency[{index}]", "has the scope and the key of the limit before it: the lower one is enough"


def _throttle(throttle: function_pb2.Throttle) -> Iterator[tuple[str, str]]:
    yield from _number("throttle.limit", throttle.limit, 1, THROTTLE_MAX)
    yield from _duration("throttle.period", throttle.period, PERIOD_MIN, PERIOD_MAX)
    if throttle.burst > throttle.limit:
        yield "throttle.burst", f"is {throttle.burst}; the limit, {throttle.limit}, is the most"
    yield from _key("throttle.key", throttle.key)


def _key(field: str, source: str) -> Iterator[tuple[str, str]]:
    if source and (problem := expression.check(source)):
        yield field, problem


def _expression(field: str, source: str) -> Iterator[tuple[str, str]]:
    if not source:
        yield field, "is required"
    yield from _key(field, source)


def _number(field: str, value: int, least: int, most: int) -> Iterator[tuple[str, str]]:
    if not least <= value <= most:
        yield field, f"is {value}; it has to be from {least:,} to {most:,}"


def _choice(field: str, value: int, known: frozenset[int]) -> Iterator[tuple[str, str]]:
    if value not in known:
        yield field, f"is {value}, which this server does not know"


def _duration(field: str, message: Duration, least: int, most: int) -> Iterator[tuple[str, str]]:
    if not least <= duration_of(message) <= most:
        yield field, f"has to be from {_spelled(least)} to {_spelled(most)}"


def _spelled(duration: int) -> str:
    for unit, name in ((DAY, "days"), (HOUR, "hours")):
        if duration > unit and duration % unit == 0:
            return f"{duration // unit} {name}"
    return "24 hours" if duration == DAY else f"{duration // SECOND} s"


def options_of(message: function_pb2.FunctionDefinition) -> Options:
    """Checked options, with every default filled in."""
    return Options(
        batch=Batch(
            message.batch.max_size, duration_of(message.batch.timeout), message.batch.key, message.batch.expression
        )
        if message.HasField("batch")
        else None,
        cancel=tuple(
            CancelOn(
                cancel.event,
                cancel.match,
                cancel.expression,
                duration_of(cancel.timeout) if cancel.HasField("timeout") else None,
            )
            for cancel in message.cancel
        ),
        concurrency=tuple(
            Concurrency(
                limit.limit,
                limit.key,
                Scope(limit.scope or Scope.FUNCTION),
                limit.hold == function_pb2.CONCURRENCY_HOLD_RUN,
            )
            for limit in message.concurrency
        ),
        debounce=Debounce(
            duration_of(message.debounce.period),
            message.debounce.key,
            duration_of(message.debounce.timeout) if message.debounce.HasField("timeout") else None,
        )
        if message.HasField("debounce")
        else None,
        priority=message.priority.run,
        rate_limit=RateLimit(message.rate_limit.limit, duration_of(message.rate_limit.period), message.rate_limit.key)
        if message.HasField("rate_limit")
        else None,
        singleton=Singleton(message.singleton.key, message.singleton.mode == function_pb2.SINGLETON_MODE_CANCEL)
        if message.HasField("singleton")
        else None,
        throttle=Throttle(
            message.throttle.limit,
            duration_of(message.throttle.period),
            message.throttle.burst or 1,
            message.throttle.key,
        )
        if message.HasField("throttle")
        else None,
        timeouts=Timeouts(
            duration_of(message.timeouts.start) if message.timeouts.HasField("start") else None,
            duration_of(message.timeouts.finish) if message.timeouts.HasField("finish") else None,
        ),
        idempotency=message.idempotency.key,
    )


def fill_options(message: function_pb2.FunctionDefinition, options: Options) -> None:
    """Write options down."""
    if (batch := options.batch) is not None:
        message.batch.MergeFrom(function_pb2.Batch(max_size=batch.max_size, key=batch.key, expression=batch.expression))
        set_duration(message.batch.timeout, batch.timeout)
    for cancel in options.cancel:
        shown = message.cancel.add(event=cancel.event, match=cancel.path, expression=cancel.expression)
        if cancel.timeout is not None:
            set_duration(shown.timeout, cancel.timeout)
    for limit in options.concurrency:
        message.concurrency.add(
            limit=limit.limit,
            key=limit.key,
            scope=int(limit.scope),
            hold=function_pb2.CONCURRENCY_HOLD_RUN if limit.holds_run else function_pb2.CONCURRENCY_HOLD_INVOCATION,
        )
    if (debounce := options.debounce) is not None:
        message.debounce.key = debounce.key
        set_duration(message.debounce.period, debounce.period)
        if debounce.timeout is not None:
            set_duration(message.debounce.timeout, debounce.timeout)
    _fill_starts(message, options)
    if options.timeouts.start is not None:
        set_duration(message.timeouts.start, options.timeouts.start)
    if options.timeouts.finish is not None:
        set_duration(message.timeouts.finish, options.timeouts.finish)


def _fill_starts(message: function_pb2.FunctionDefinition, options: Options) -> None:
    """Those that say when, and whether, a run starts."""
    if options.priority:
        message.priority.run = options.priority
    if (rate := options.rate_limit) is not None:
        message.rate_limit.MergeFrom(function_pb2.RateLimit(limit=rate.limit, key=rate.key))
        set_duration(message.rate_limit.period, rate.period)
    if (singleton := options.singleton) is not None:
        mode = function_pb2.SINGLETON_MODE_CANCEL if singleton.cancels else function_pb2.SINGLETON_MODE_SKIP
        message.singleton.MergeFrom(function_pb2.Singleton(key=singleton.key, mode=mode))
    if (throttle := options.throttle) is not None:
        message.throttle.MergeFrom(function_pb2.Throttle(limit=throttle.limit, burst=throttle.burst, key=throttle.key))
        set_duration(message.throttle.period, throttle.period)
    if options.idempotency:
        message.idempotency.key = options.idempotency
