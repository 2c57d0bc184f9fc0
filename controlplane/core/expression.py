"""CEL expressions over events: checked when they are registered, compiled once, evaluated for each candidate.

The language is that of https://github.com/google/cel-spec, as the `cel` package implements it. An expression sees
`event`, with `id`, `name`, `data` and `ts` (milliseconds since 1970); one that compares two events sees the other one as
`async`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final

import cel
import orjson

from controlplane.core.limits import EXPRESSION_BYTES_MAX
from controlplane.core.records import EventRow

#: What an expression gives that errs.
ERRED: Final = object()
#: What stands at a path that leads nowhere.
MISSING: Final = object()

_VARIABLES: Final = frozenset({"event"})
_FUNCTIONS: Final = frozenset(
    [
        "size",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "timestamp",
        "duration",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "type",
        "dyn",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
    ]
)
_MACRO_VARIABLE: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")


def check(source: str, variables: frozenset[str] = _VARIABLES) -> str | None:
    """What is wrong with an expression, or `None`: it has to compile, and to name known variables and functions only."""
    if len(source.encode()) > EXPRESSION_BYTES_MAX:
        return f"is longer than {EXPRESSION_BYTES_MAX} bytes"
    try:
        program = cel.compile(source)
    except ValueError as error:
        return f"is not valid CEL: {_first_line(error)}"
    bound = variables | set(_MACRO_VARIABLE.findall(source))
    for name in program.variables():
        if name not in bound:
            return f"names {name!r}, but an expression can use these only: {', '.join(sorted(variables))}"
    for name in program.functions():
        if name.isidentifier() and name not in _FUNCTIONS:
            return f"calls {name!r}, which is not a function of CEL's standard library"
    return None


def is_true(source: str, variables: dict[str, Any]) -> bool:
    """Whether the expression is `true`; one that errs, or gives something else, is not."""
    try:
        return _compile(source).execute(variables) is True
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
        return False


def evaluate(source: str, variables: dict[str, Any]) -> Any:
    """The value of an expression, or `ERRED`."""
    try:
        return _compile(source).execute(variables)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
        return ERRED


def value_at(value: Any, path: str) -> Any:
    """What stands at a dotted path of an event as expressions see it, or `MISSING`."""
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def canonical(value: Any) -> str:
    """A value as JSON, the same for values that are equal: numbers by value, objects in the order of their names."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value


def event_value(event: EventRow) -> dict[str, Any]:
    """An event as expressions see it; data that is not JSON is null."""
    return {
        "id": event.id,
        "name": event.name,
        "data": orjson.loads(event.data or b"{}") if event.encoding in ("", "json") else None,
        "ts": event.ts // 1000,
    }


@lru_cache(maxsize=10_000)
def _compile(source: str) -> cel.Program:
    return cel.compile(source)


def _first_line(error: Exception) -> str:
    text = str(error)
    return text.splitlines()[0].split("ERROR: ")[-1].removeprefix("<input>:") if text else "it does not parse"
