"""Values ⇄ bytes, and the SDK's words ⇄ protobuf: JSON for values, moments and durations as the wire has them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from steplane.errors import NotSerializableError, SteplaneError
from steplane.event import Event
from steplane.gen.steplane.v1 import event_pb2, payload_pb2, run_pb2
from steplane.replay.journal import Entry, Failure

_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_DECODE: Final = json.JSONDecoder().decode
_DECODE_AT: Final = json.JSONDecoder().raw_decode
_SAME_AFTER_JSON: Final = frozenset({type(None), bool, int, float, str})
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode(value: Any, what: str, name: str) -> tuple[bytes, Any]:
    """A value as JSON, and as a replay will have it: tuples become lists, and keys texts.

    Raises `NotSerializableError`, which says `what` of which name it is.
    """
    try:
        text = _ENCODE(value)
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializableError(
            f"{what} {name!r} is not JSON: {error}. Use dicts, lists, strings, numbers, booleans and None: "
            "for example dataclasses.asdict(x), x.model_dump(mode='json') or moment.isoformat()."
        ) from error
    return data, value if type(value) in _SAME_AFTER_JSON else _DECODE_AT(text)[0]


def decode(data: bytes, encoding: str = "") -> Any:
    """The value of some JSON; of nothing at all it is `None`."""
    if encoding not in ("", "json"):
        raise SteplaneError(f"a value is encoded as {encoding!r}, which this SDK does not know")
    return _DECODE(data.decode()) if data else None


def encode_event(event: Event, *, index: int) -> event_pb2.Event:
    """An event for the wire. Raises `NotSerializableError`."""
    message = event_pb2.Event(id=event.id, name=event.name, traceparent=event.traceparent, tracestate=event.tracestate)
    data = encode(event.data, f"the data of event {index},", event.name)[0]
    if not data.startswith(b"{"):
        raise NotSerializableError(
            f"the data of event {index} ({event.name!r}) is a {type(event.data).__name__}; it has to be a dict"
        )
    message.data.data = data
    if event.ts:
        message.ts.seconds, milliseconds = divmod(event.ts, 1000)
        message.ts.nanos = milliseconds * 1_000_000
    return message


def decode_event(message: event_pb2.Event) -> Event:
    """An event from the wire."""
    return Event(
        name=message.name,
        data=decode(message.data.data, message.data.encoding) or {},
        id=message.id,
        ts=message.ts.seconds * 1000 + message.ts.nanos // 1_000_000,
        traceparent=message.traceparent,
        tracestate=message.tracestate,
    )


def event_of(value: dict[str, Any]) -> Event:
    """An event that a step waited for, from its output."""
    return Event(name=value["name"], data=value["data"], id=value["id"], ts=value["ts"])


def decode_entry(message: run_pb2.JournalEntry) -> Entry:
    """A recorded step from the wire."""
    return Entry(
        message.step_key,
        message.kind,
        message.state,
        message.output.data,
        message.output.encoding,
        _decode_failure(message.failure) if message.HasField("failure") else None,
        message.attempts,
        message.HasField("due_time"),
        tuple(message.event_ids),
        message.end_time.seconds * 1_000_000 + message.end_time.nanos // 1000,
    )


def _decode_failure(message: payload_pb2.Failure) -> Failure:
    return Failure(message.name, message.message, message.stack, message.step_key, message.reason)


def as_timedelta(duration: timedelta | int) -> timedelta:
    """A duration as users write it: a `timedelta`, or milliseconds."""
    if isinstance(duration, timedelta):
        return duration
    if isinstance(duration, bool) or not isinstance(duration, int):
        raise TypeError(f"a duration is a timedelta or a number of milliseconds, not {duration!r}")
    return timedelta(milliseconds=duration)


def encode_duration(duration: timedelta) -> Duration:
    """A duration for the wire."""
    seconds, rest = divmod(duration, _SECOND)
    return Duration(seconds=seconds, nanos=rest // _MICROSECOND * 1000)


def decode_duration(message: Duration) -> float:
    """A duration from the wire, in seconds."""
    return message.seconds + message.nanos / 1e9


def encode_moment(moment: datetime) -> Timestamp:
    """A moment for the wire. Raises `ValueError` if it has no time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; use datetime.now(UTC), for example")
    seconds, rest = divmod(moment - datetime(1970, 1, 1, tzinfo=UTC), _SECOND)
    return Timestamp(seconds=seconds, nanos=rest // _MICROSECOND * 1000)
