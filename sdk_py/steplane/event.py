"""What happened: an event, as it is sent and as a function gets it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from steplane.override import override


class Event:
    """Something that happened."""

    __slots__ = ("data", "id", "name", "traceparent", "tracestate", "ts")

    def __init__(
        self,
        *,
        name: str,
        data: Mapping[str, Any] | None = None,
        id: str = "",  # noqa: A002 the word of the protocol, and of those who know others like it
        ts: datetime | int = 0,
        traceparent: str = "",
        tracestate: str = "",
    ) -> None:
        self.name = name
        """What happened, for example `shop/order.created`."""
        self.data: Mapping[str, Any] = {} if data is None else data
        """What the event tells: whatever a JSON object can carry."""
        self.id = id
        """Unique within the server's dedupe window: the same id again makes no second event. Made if empty."""
        self.ts = _milliseconds(ts)
        """When it happened, in milliseconds since 1970; 0 means now. A moment in the future delays the event."""
        self.traceparent = traceparent
        """The W3C trace context that it belongs to. Events of a step always get their step's."""
        self.tracestate = tracestate
        """The W3C vendor state that goes with `traceparent`."""

    @override
    def __repr__(self) -> str:
        return f"Event(name={self.name!r}, data={self.data!r}, id={self.id!r}, ts={self.ts!r})"

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # its data can change


def _milliseconds(ts: datetime | int) -> int:
    if isinstance(ts, int):
        return ts
    if ts.tzinfo is None:
        raise ValueError(f"the event's ts {ts.isoformat()} has no time zone; use datetime.now(UTC), for example")
    return int(ts.timestamp() * 1000)
