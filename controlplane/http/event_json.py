"""A body in JSON → events of the contract. What is wrong with its form is told here; the rest is `rpc.validate`'s.

`json` reads it, and not orjson, which makes floats of integers beyond 64 bits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, NoReturn

from controlplane.core.limits import MILLISECOND, VIOLATIONS_MAX, Limits
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import event_pb2
from controlplane.rpc import validate
from controlplane.rpc.translate import set_moment

_TEXTS: Final = ("id", "name", "traceparent", "tracestate")
_MEMBERS: Final = ("name", "data", "id", "ts", "traceparent", "tracestate")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Beyond it a double is not exact to the millisecond; it is far beyond what events may be dated.
_MILLISECONDS_MAX: Final = 2**53


def read_events(body: bytes, limits: Limits) -> list[event_pb2.Event]:
    """The events of a body: one, a list, or an object with `events`. Raises `InvalidArgument`."""
    found: validate.Violations = []
    listed = _listed(_parsed(body, found), found)
    validate.refuse(found)
    validate.refuse(validate.batch(len(listed), 0, limits))
    events = []
    for index, item in enumerate(listed):
        events.append(_event(item, f"events[{index}]", found))
        if len(found) >= VIOLATIONS_MAX:
            break
    validate.refuse(found[:VIOLATIONS_MAX])
    return events


def _parsed(body: bytes, found: validate.Violations) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        found.append(FieldViolation("body", f"is not UTF-8: {error.reason} at byte {error.start}"))
    except (ValueError, RecursionError) as error:
        found.append(FieldViolation("body", f"is not JSON: {error}"))
    return None


def _listed(parsed: Any, found: validate.Violations) -> Sequence[Any]:
    if found:
        return ()
    if isinstance(parsed, dict) and "events" in parsed:
        found += [
            FieldViolation(_printable(name), 'is no member of a batch, which has "events" only')
            for name in parsed
            if name != "events"
        ]
        parsed = parsed["events"]
    elif isinstance(parsed, dict):
        return (parsed,)
    if isinstance(parsed, list):
        return parsed
    found.append(
        FieldViolation("events", "is not a list; send one event, a list of events, or an object with that list")
    )
    return ()


def _event(item: Any, path: str, found: validate.Violations) -> event_pb2.Event:
    event = event_pb2.Event()
    if not isinstance(item, dict):
        found.append(FieldViolation(path, "is not an object"))
        return event
    for name, value in item.items():
        if name not in _MEMBERS:
            problem: str | None = f"is no member of an event; these are {', '.join(_MEMBERS)}"
        elif value is None:
            problem = None
        elif name in _TEXTS:
            problem = _set_text(event, name, value)
        elif name == "ts":
            problem = _set_ts(event, value)
        else:
            problem = _set_data(event, value)
        if problem is not None:
            found.append(FieldViolation(f"{path}.{_printable(name)}", problem))
    return event


def _set_text(event: event_pb2.Event, name: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return "is not a text"
    try:
        setattr(event, name, value)
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which is no character"
    return None


def _set_ts(event: event_pb2.Event, value: Any) -> str | None:
    moment = _moment(value)
    if moment is None:
        return "is neither milliseconds since 1970 nor a moment with its time zone, such as 2026-01-31T12:00:00Z"
    set_moment(event.ts, moment)
    return None


def _moment(value: Any) -> int | None:
    """Microseconds since 1970, if the value is a moment."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * MILLISECOND) if isfinite(value) and abs(value) <= _MILLISECONDS_MAX else None
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return (at - _EPOCH) // timedelta(microseconds=1) if at.tzinfo is not None else None


def _set_data(event: event_pb2.Event, value: Any) -> str | None:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        return "has a number that is too large, or is nested too deep"
    # Half of a surrogate pair stays what it is, and is refused where all data is looked at.
    event.data.data = text.encode(errors="surrogatepass")
    return None


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")


def _printable(name: str) -> str:
    """A member's name as it can be told to anybody."""
    return name.encode(errors="replace").decode()
