"""Answers as JSON, one object a line, for programs.

Names are those of the contract. Values of users are decoded where they are JSON; states are the words that tables show;
moments are RFC 3339 in UTC; what is not there is null.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.client_commands.show.words import printable
from controlplane.gen.steplane.v1 import function_pb2, payload_pb2, run_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

_WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")


def line(data: object) -> str:
    """One line of JSON. Characters that could steer a terminal are escaped."""
    text = json.dumps(data, ensure_ascii=False, separators=(", ", ": "))
    # json escapes the controls below 0x20 itself.
    return text if printable(text) == text else json.dumps(data, separators=(", ", ": "))


def run_data(run: run_pb2.Run, steps: Iterable[run_pb2.JournalEntry] | None = None) -> dict[str, Any]:
    """A run, with its steps if they are given."""
    found = message_data(run)
    if steps is not None:
        found["steps"] = [message_data(step) for step in steps]
    return found


def event_data(record: run_pb2.EventRecord) -> dict[str, Any]:
    """An event and where it came from, in one flat object."""
    found = message_data(record)
    return {**found.pop("event"), **found}


def function_data(function: function_pb2.Function) -> dict[str, Any]:
    """A function and its definition, in one flat object."""
    found = message_data(function)
    return {**found.pop("definition"), **found}


def lineage_data(lineage: run_pb2.GetLineageResponse) -> dict[str, Any]:
    """A lineage as flat lists: a tree may be deeper than programs can read nested."""
    steps = {journal.run_id: journal.entries for journal in lineage.journals}
    return {
        "events": [event_data(record) for record in lineage.events],
        "runs": [run_data(run, steps.get(run.id, ())) for run in lineage.runs],
        "truncated": lineage.truncated,
    }


def message_data(message: Message) -> dict[str, Any]:
    """Any message of the contract; of a oneof only what is set."""
    return {
        field.name: _field_data(message, field)
        for field in message.DESCRIPTOR.fields
        if field.containing_oneof is None or message.HasField(field.name)
    }


def enum_prefix(enum: Any) -> str:
    """What all names of an enum's values begin with in the contract."""
    return f"{_WORD_START.sub('_', enum.name)}_".upper()


def payload_data(payload: payload_pb2.Payload) -> Any:
    """A user's value: decoded if it is JSON, else its encoding and its bytes in base64."""
    if payload.encoding in {"", "json"}:
        if not payload.data:
            return None
        try:
            return json.loads(payload.data)
        except (ValueError, RecursionError):
            pass  # shown as bytes, like any other value that is no JSON
    return {"encoding": payload.encoding or "json", "base64": b64encode(payload.data).decode()}


# Descriptors are `Any`: their stubs know two kinds of them, of which the one in use has no public name.
def _field_data(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_value_data(item, field) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value_data(value, field)


def _value_data(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        to_data = _MESSAGES.get(field.message_type.full_name)
        return to_data(value) if to_data else message_data(value)
    if field.enum_type is not None:
        return _enum_word(value, field.enum_type)
    return value if value != "" else None


def _enum_word(value: int, enum: Any) -> str | int | None:
    known = enum.values_by_number.get(value)
    if known is None:
        return value  # of a newer server
    if value == 0:
        return None
    name: str = known.name
    return name.removeprefix(enum_prefix(enum)).lower()


_MESSAGES: Final[dict[str, Callable[[Any], Any]]] = {
    payload_pb2.Payload.DESCRIPTOR.full_name: payload_data,
    run_pb2.EventRecord.DESCRIPTOR.full_name: event_data,
    Timestamp.DESCRIPTOR.full_name: Timestamp.ToJsonString,
    Duration.DESCRIPTOR.full_name: Duration.ToJsonString,
}
