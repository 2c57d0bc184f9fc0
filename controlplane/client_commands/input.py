"""What users type: JSON, moments and function names, each refused with what is wrong with it."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import click
from typing_extensions import override

from controlplane.client_commands.show.times import parse_duration, parse_moment


class JsonObject(click.ParamType[bytes]):
    """A JSON object: given as it is, as `@FILE`, or as `-` for standard input."""

    name = "json"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        text = self._text(value, param, ctx)
        try:
            found = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            self.fail(f"that is not JSON: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail('a JSON object is needed, for example {"id": 1}', param, ctx)
        return text.encode()

    def _text(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if value == "-":
                return sys.stdin.buffer.read().decode()
            if value.startswith("@"):
                return Path(value[1:]).read_text("utf-8")
        except UnicodeDecodeError as error:
            self.fail(f"that is not UTF-8: {error}", param, ctx)
        except OSError as error:
            self.fail(f"cannot read {value[1:]}: {error.strerror}", param, ctx)
        return value


class Moment(click.ParamType[datetime]):
    """A moment: ISO 8601, or a duration before now (after now, if it is written with a plus)."""

    name = "moment"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        distance = parse_duration(value.removeprefix("+"))
        try:
            if distance is not None:
                now = datetime.now().astimezone()  # noqa: TID251 the one clock that typed moments count from
                return now + distance if value.startswith("+") else now - distance
        except OverflowError:
            self.fail(f"{value!r} is too far away", param, ctx)
        moment = parse_moment(value, None)
        if moment is None:
            self.fail(f"{value!r} is no moment; write 2026-01-31T12:00:00, or a duration such as 10m or 3d", param, ctx)
        return moment


def split_function(text: str) -> tuple[str, str]:
    """The app (empty if not given) and the id of a function written `app/function` or `function`."""
    app_id, _, function_id = text.rpartition("/")
    return app_id, function_id


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")
