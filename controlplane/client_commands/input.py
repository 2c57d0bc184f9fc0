"""What users type: JSON, moments and function names, each refused with what is wrong with it."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import click

from controlplane.client_commands.show.times import parse_duration, parse_moment

_NUMBERED: Final = re.compile(r"#\d+$")


def json_object(value: str) -> bytes:
    """A JSON object: given as it is, as `@FILE`, or as `-` for standard input."""
    text, found = _parse_json(value)
    if not isinstance(found, dict):
        raise click.BadParameter('a JSON object is needed, for example {"id": 1}')
    return text.encode()


def json_value(value: str) -> bytes:
    """Any JSON: given as it is, as `@FILE`, or as `-` for standard input."""
    text, _ = _parse_json(value)
    return text.encode()


def read_json(value: str) -> object:
    """What some JSON means: given as it is, as `@FILE`, or as `-` for standard input. `null` counts as nothing."""
    return _parse_json(value)[1]


def duration(value: str) -> timedelta:
    """A length of time."""
    found = parse_duration(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no duration; write 30s, 10m, 2h or 3d")
    return found


def moment(value: str) -> datetime:
    """A moment: ISO 8601, or a duration before now (after now, if it is written with a plus)."""
    distance = parse_duration(value.removeprefix("+"))
    try:
        if distance is not None:
            now = datetime.now().astimezone()  # noqa: TID251 the one clock that typed moments count from
            return now + distance if value.startswith("+") else now - distance
    except OverflowError:
        raise click.BadParameter(f"{value!r} is too far away") from None
    found = parse_moment(value, None)
    if found is None:
        raise click.BadParameter(f"{value!r} is no moment; write 2026-01-31T12:00:00, or a duration such as 10m or 3d")
    return found


class FunctionName(NamedTuple):
    """A function as users name it."""

    app_id: str = ""
    """Empty if not given."""
    function_id: str = ""


def split_function(text: str) -> FunctionName:
    """The name of a function written `app/function` or `function`."""
    app_id, _, function_id = text.rpartition("/")
    return FunctionName(app_id, function_id)


def step_key(text: str) -> str:
    """A step's key, written as it is, or without the number if the step's id was used once: `name` for `name#0`."""
    return text if not text or _NUMBERED.search(text) else f"{text}#0"


def _parse_json(value: str) -> tuple[str, object]:
    text = _json_text(value)
    try:
        return text, json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"that is not JSON: {error}") from None


def _json_text(value: str) -> str:
    try:
        if value == "-":
            return sys.stdin.buffer.read().decode()
        if value.startswith("@"):
            return Path(value[1:]).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"that is not UTF-8: {error}") from None
    except OSError as error:
        raise click.BadParameter(f"cannot read {value[1:]}: {error.strerror}") from None
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")
