"""What statements can refer to, and how."""

from __future__ import annotations

from typing import Any, TypeAlias

from steplane import Context, Event

Scope: TypeAlias = dict[str, Any]


def scope_of(ctx: Context) -> Scope:
    """What a script can refer to from its beginning."""
    events = [event_value(event) for event in ctx.events]
    return {
        "event": events[0],
        "events": events,
        "run_id": ctx.run_id,
        "attempt": ctx.attempt,
        "traceparent": ctx.traceparent,
    }


def event_value(event: Event) -> dict[str, Any]:
    """An event as scripts see it."""
    return {"id": event.id, "name": event.name, "data": dict(event.data), "ts": event.ts}


def resolved(scope: Scope, value: Any) -> Any:
    """A value of a script, with what its references refer to."""
    if isinstance(value, list):
        return [resolved(scope, each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$"}:
        return _found(scope, value["$"])
    if value.keys() == {"$repeat"}:
        text, times = value["$repeat"]
        return text * times
    return {name: resolved(scope, each) for name, each in value.items()}


def _found(value: Any, path: str) -> Any:
    for name in path.split("."):
        try:
            value = value[int(name)] if isinstance(value, list) else value[name]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value
