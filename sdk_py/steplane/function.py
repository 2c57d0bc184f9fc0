"""What a user defines: a function, what triggers it, how it is tried again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from steplane.codec import as_timedelta, encode_duration
from steplane.gen.steplane.v1 import function_pb2
from steplane.override import override

H = TypeVar("H", bound=Callable[..., Any])


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


class Function(Generic[H]):
    """A registered function. It can be called as what it was defined from."""

    def __init__(self, handler: H, definition: function_pb2.FunctionDefinition) -> None:
        self.handler = handler
        """What was decorated."""
        self.definition = definition
        """What the server is told."""
        self.is_async = _is_async(handler)
        """Whether it runs on the event loop; else it runs in a thread."""
        self.__doc__ = handler.__doc__
        self.__name__ = getattr(handler, "__name__", definition.function_id)
        self.__wrapped__ = handler

    @property
    def id(self) -> str:
        """The function's id inside its app."""
        return self.definition.function_id

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler."""
        return self.handler(*args, **kwargs)

    @override
    def __repr__(self) -> str:
        return f"<Function {self.definition.app_id}/{self.id}>"


def define(
    *,
    app_id: str,
    fn_id: str,
    trigger: TriggerEvent | TriggerCron | Sequence[TriggerEvent | TriggerCron],
    retries: int | None,
    retry_delays: Sequence[timedelta | int] | None,
    retry_jitter: timedelta | int | None,
    name: str,
) -> function_pb2.FunctionDefinition:
    """A function's definition for the server, which checks all of it."""
    definition = function_pb2.FunctionDefinition(app_id=app_id, function_id=fn_id, name=name)
    triggers = [trigger] if isinstance(trigger, TriggerEvent | TriggerCron) else trigger
    definition.triggers.extend(_trigger(each) for each in triggers)
    retry = definition.retry
    if retries is not None:
        retry.retries = retries
    if retry_delays is not None:
        if not retry_delays:
            raise ValueError(f"function {fn_id!r}: retry_delays is empty; leave it out for the default delays")
        retry.delays.extend(encode_duration(as_timedelta(delay)) for delay in retry_delays)
    if retry_jitter is not None:
        retry.jitter.CopyFrom(encode_duration(as_timedelta(retry_jitter)))
    elif retry_delays is not None:
        # Whoever says when wants it then: the default jitter of 30 s is for the default delays.
        retry.jitter.SetInParent()
    return definition


def _trigger(trigger: TriggerEvent | TriggerCron) -> function_pb2.Trigger:
    if isinstance(trigger, TriggerEvent):
        event = function_pb2.EventTrigger(event=trigger.event, expression=trigger.expression)
        return function_pb2.Trigger(event=event)
    return function_pb2.Trigger(cron=function_pb2.CronTrigger(cron=trigger.cron, time_zone=trigger.tz))


def _is_async(handler: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 it is looked at, not asked for
