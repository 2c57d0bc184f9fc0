"""A function's settings as the server is told them. It checks all of them: here only what can't be told is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from google.protobuf.duration_pb2 import Duration

from steplane.codec import as_timedelta, encode_duration
from steplane.flow import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from steplane.gen.steplane.v1 import function_pb2
from steplane.retry import Retry, policy_of

T = TypeVar("T")

_SCOPES: Final = {
    "fn": function_pb2.CONCURRENCY_SCOPE_FUNCTION,
    "app": function_pb2.CONCURRENCY_SCOPE_APP,
    "namespace": function_pb2.CONCURRENCY_SCOPE_NAMESPACE,
}
_HOLDS: Final = {
    "invocation": function_pb2.CONCURRENCY_HOLD_INVOCATION,
    "run": function_pb2.CONCURRENCY_HOLD_RUN,
}
_MODES: Final = {
    "skip": function_pb2.SINGLETON_MODE_SKIP,
    "cancel": function_pb2.SINGLETON_MODE_CANCEL,
}


@dataclass(frozen=True, kw_only=True)
class TriggerEvent:
    """Starts a run for each event of a name."""

    event: str
    """The event's name; a `*` at its end matches any rest: `app/user.*`."""
    expression: str = ""
    """A CEL expression over `event` that has to be true: `event.data.total > 100`."""


@dataclass(frozen=True, kw_only=True)
class TriggerCron:
    """Starts a run at each tick of a schedule."""

    cron: str
    """Minute, hour, day of month, month, day of week: `0 12 * * 5`."""
    tz: str = ""
    """The time zone that these are read in, for example `Europe/Berlin`; UTC if empty."""


def define(
    *,
    app_id: str,
    fn_id: str,
    name: str,
    trigger: TriggerEvent | TriggerCron | Sequence[TriggerEvent | TriggerCron],
    retries: int | None = None,
    retry: Retry | None = None,
    batch_events: Batch | None = None,
    cancel: Cancel | Sequence[Cancel] | None = None,
    concurrency: int | Concurrency | Sequence[Concurrency] | None = None,
    debounce: Debounce | None = None,
    priority: Priority | None = None,
    rate_limit: RateLimit | None = None,
    singleton: Singleton | None = None,
    throttle: Throttle | None = None,
    timeouts: Timeouts | None = None,
    idempotency: str = "",
) -> function_pb2.FunctionDefinition:
    """A function's definition for the server. Raises `ValueError`, which names the function and the argument."""
    definition = function_pb2.FunctionDefinition(app_id=app_id, function_id=fn_id, name=name)
    limits = Concurrency(limit=concurrency) if isinstance(concurrency, int) else concurrency
    with _naming(fn_id, "trigger"):
        definition.triggers.extend(_trigger(each) for each in _several(trigger, TriggerEvent | TriggerCron))
    with _naming(fn_id, "retry"):
        _set_retry(definition.retry, retries, retry)
    with _naming(fn_id, "cancel"):
        definition.cancel.extend(_cancel(each) for each in _several(cancel, Cancel))
    with _naming(fn_id, "concurrency"):
        definition.concurrency.extend(_concurrency(each) for each in _several(limits, Concurrency))
    with _naming(fn_id, "idempotency"):
        if idempotency:
            definition.idempotency.key = idempotency
    # One of each at the most.
    options: tuple[tuple[str, Any, Any, Callable[[Any], Any], Any], ...] = (
        ("batch_events", batch_events, Batch, _batch, definition.batch),
        ("debounce", debounce, Debounce, _debounce, definition.debounce),
        ("priority", priority, Priority, lambda it: function_pb2.Priority(run=it.run), definition.priority),
        ("rate_limit", rate_limit, RateLimit, _rate_limit, definition.rate_limit),
        ("singleton", singleton, Singleton, _singleton, definition.singleton),
        ("throttle", throttle, Throttle, _throttle, definition.throttle),
        ("timeouts", timeouts, Timeouts, _timeouts, definition.timeouts),
    )
    for argument, value, kind, translate, message in options:
        if value is not None:
            with _naming(fn_id, argument):
                message.CopyFrom(translate(_checked(value, kind)))
    return definition


@contextmanager
def _naming(fn_id: str, argument: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"function {fn_id!r}: {argument}: {error}") from error


def _several(value: Any, kind: Any) -> list[Any]:
    """None, one, or several, as several."""
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_checked(each, kind) for each in value]
    return [_checked(value, kind)]


def _checked(value: T, kind: Any) -> T:
    if not isinstance(value, kind):
        names = " or a ".join(each.__name__ for each in getattr(kind, "__args__", (kind,)))
        raise TypeError(f"it has to be a {names}, not {value!r}")
    return value


def _set_retry(policy: function_pb2.RetryPolicy, retries: int | None, retry: Retry | None) -> None:
    if retry is not None:
        if retries is not None:
            raise ValueError(
                f"give retry or retries, not both: Retry(attempts={retries + 1}, ...) has {retries} retries"
            )
        policy.CopyFrom(policy_of(_checked(retry, Retry)))
    elif retries is not None:
        policy.retries = retries


def _trigger(trigger: TriggerEvent | TriggerCron) -> function_pb2.Trigger:
    if isinstance(trigger, TriggerEvent):
        event = function_pb2.EventTrigger(event=trigger.event, expression=trigger.expression)
        return function_pb2.Trigger(event=event)
    return function_pb2.Trigger(cron=function_pb2.CronTrigger(cron=trigger.cron, time_zone=trigger.tz))


def _batch(batch: Batch) -> function_pb2.Batch:
    return function_pb2.Batch(
        max_size=batch.max_size, timeout=_duration(batch.timeout), key=batch.key, expression=batch.if_exp
    )


def _cancel(cancel: Cancel) -> function_pb2.CancelOn:
    return function_pb2.CancelOn(
        event=cancel.event, match=cancel.match, expression=cancel.if_exp, timeout=_duration(cancel.timeout)
    )


def _concurrency(concurrency: Concurrency) -> function_pb2.ConcurrencyLimit:
    return function_pb2.ConcurrencyLimit(
        limit=concurrency.limit,
        key=concurrency.key,
        scope=_one_of(_SCOPES, "scope", concurrency.scope),
        hold=_one_of(_HOLDS, "hold", concurrency.hold),
    )


def _debounce(debounce: Debounce) -> function_pb2.Debounce:
    return function_pb2.Debounce(
        period=_duration(debounce.period), key=debounce.key, timeout=_duration(debounce.timeout)
    )


def _rate_limit(rate_limit: RateLimit) -> function_pb2.RateLimit:
    return function_pb2.RateLimit(limit=rate_limit.limit, period=_duration(rate_limit.period), key=rate_limit.key)


def _singleton(singleton: Singleton) -> function_pb2.Singleton:
    return function_pb2.Singleton(key=singleton.key, mode=_one_of(_MODES, "mode", singleton.mode))


def _throttle(throttle: Throttle) -> function_pb2.Throttle:
    return function_pb2.Throttle(
        limit=throttle.limit, period=_duration(throttle.period), burst=throttle.burst, key=throttle.key
    )


def _timeouts(timeouts: Timeouts) -> function_pb2.Timeouts:
    return function_pb2.Timeouts(start=_duration(timeouts.start), finish=_duration(timeouts.finish))


def _duration(duration: timedelta | int | None) -> Duration | None:
    return None if duration is None else encode_duration(as_timedelta(duration))


def _one_of(choices: Mapping[str, T], name: str, value: str) -> T:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is none of {', '.join(map(repr, choices))}")
    return choices[value]
