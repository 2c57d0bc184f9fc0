"""JSON as users write it → messages of the contract: what `show/json_lines.py` writes, the other way round.

It is protobuf's JSON, but for values of users, which are written as they are, and for enums, whose prefix may be left out.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Final, TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from controlplane.client_commands.problems import Wrong
from controlplane.client_commands.show.json_lines import enum_prefix
from controlplane.gen.steplane.v1 import payload_pb2

_Message = TypeVar("_Message", bound=Message)
_PAYLOAD: Final = payload_pb2.Payload.DESCRIPTOR.full_name


def to_message(data: object, message: _Message, *, what: str) -> _Message:
    """Fill a message; raises `Wrong` with `what` it should have been."""
    if not isinstance(data, dict):
        raise Wrong(f"that is not {what}, which is a JSON object")
    try:
        ParseDict(_wire_json(data, message.DESCRIPTOR), message)
    except ParseError as error:
        raise Wrong(f"that is not {what}: {error}") from None
    return message


# Descriptors are `Any`, as in `show/json_lines.py`.
def _wire_json(data: Any, descriptor: Any) -> Any:
    if descriptor.full_name == _PAYLOAD:
        return {} if data is None else {"data": b64encode(json.dumps(data).encode()).decode()}
    if not isinstance(data, dict):
        return data
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    return {name: _field_json(value, fields[name]) if name in fields else value for name, value in data.items()}


def _field_json(value: Any, field: Any) -> Any:
    if field.is_repeated and isinstance(value, list):
        return [_value_json(item, field) for item in value]
    return _value_json(value, field)


def _value_json(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return _wire_json(value, field.message_type)
    if field.enum_type is not None and isinstance(value, str) and value not in field.enum_type.values_by_name:
        return enum_prefix(field.enum_type) + value.upper()
    return value
