"""Events that are waited for: by a step, or to cancel a run. What a row of them looks like, and which event meets it.

Equality is what a store can look up: a row has a path and the value that the event has to have there. Whatever else an
expression asks for is evaluated for the rows that were found.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from controlplane.core.definition import CancelOn
from controlplane.core.expression import MISSING, canonical, event_value, is_true, value_at
from controlplane.core.limits import WAIT_MAX
from controlplane.core.records import EventRow, WaitRow
from controlplane.core.requests import WaitedEvent

#: Events of this prefix are the server's own: only a name that begins with it asks for them.
INTERNAL: Final = "steplane/"


def name_matches(pattern: str, name: str) -> bool:
    """Whether a name that is asked for takes an event's; a "*" at the end stands for any rest."""
    if not pattern.endswith("*"):
        return name == pattern
    return name.startswith(pattern[:-1]) and (pattern.startswith(INTERNAL) or not name.startswith(INTERNAL))


def rows_of_step(
    waited: Sequence[WaitedEvent], *, run_id: str, step_key: str, started_by: EventRow
) -> list[WaitRow] | str:
    """The rows of a step's wait, or what is wrong with it."""
    rows = []
    for position, (event, path, expression) in enumerate(waited):
        value = _value(path, started_by)
        if value is None:
            return f"match={path!r} compares what event {started_by.name!r} lacks: it has no such value, or null"
        rows.append(WaitRow(run_id, step_key, position, started_by.namespace, event, path, value, expression))
    return rows


def rows_of_cancels(cancels: Sequence[CancelOn], *, run_id: str, started_by: EventRow, now: int) -> list[WaitRow]:
    """The rows of the events that cancel a run; one whose path has no value in the run's event can't, and is left out."""
    rows = []
    for position, (event, path, expression, timeout) in enumerate(cancels):
        value = _value(path, started_by)
        if value is not None:
            expires_at = now + (WAIT_MAX if timeout is None else timeout)
            rows.append(WaitRow(run_id, "", position, started_by.namespace, event, path, value, expression, expires_at))
    return rows


def is_met(row: WaitRow, event: EventRow, started_by: EventRow | None) -> bool:
    """Whether an event is the one that a row waits for. `started_by`, the run's own event, is for expressions only."""
    if not name_matches(row.event, event.name) or row.namespace != event.namespace:
        return False
    if row.path and _value(row.path, event) != row.value:
        return False
    if not row.expression:
        return True
    if started_by is None:
        return False
    return is_true(row.expression, {"event": _seen(started_by), "async": _seen(event)})


def event_json(event: EventRow) -> bytes:
    """An event as the output of a step: a JSON object. Data that is not JSON is a text in base 64."""
    if event.encoding in ("", "json"):
        data: Any = orjson.Fragment(event.data or b"{}")
    else:
        data = {"encoding": event.encoding, "base64": b64encode(event.data).decode()}
    return orjson.dumps({"id": event.id, "name": event.name, "data": data, "ts": event.ts // 1000})


def events_json(found: Iterable[EventRow | None]) -> bytes:
    """Events as the output of a step that waits for all of several; null for those that are not there yet."""
    return join_json([b"null" if event is None else event_json(event) for event in found])


def join_json(items: Iterable[bytes]) -> bytes:
    """An array of JSON values."""
    return b"[" + b",".join(items) + b"]"


def split_json(array: bytes) -> list[bytes]:
    """The values of an array."""
    # Not by orjson, which makes floats of integers beyond 64 bits.
    return [json.dumps(item, separators=(",", ":")).encode() for item in json.loads(array)]


class WaitShapes:
    """Which (event, path) pairs any wait has, by namespace: what an event has to be looked up by.

    It may have more than there are, which costs a look-up in vain, but never less.
    """

    def __init__(self, shapes: Iterable[tuple[str, str, str]] = ()) -> None:
        self._exact: dict[tuple[str, str], set[str]] = {}
        self._wild: dict[str, set[tuple[str, str]]] = {}
        self.count = 0
        for namespace, event, path in shapes:
            self.add(namespace, event, path)

    def add(self, namespace: str, event: str, path: str) -> None:
        """There is such a wait."""
        if event.endswith("*"):
            wild = self._wild.setdefault(namespace, set())
            self.count += (event, path) not in wild
            wild.add((event, path))
        else:
            exact = self._exact.setdefault((namespace, event), set())
            self.count += path not in exact
            exact.add(path)

    def of(self, namespace: str, name: str) -> list[tuple[str, str]]:
        """The (event, path) pairs that take an event of that name."""
        exact = self._exact.get((namespace, name))
        found = [(name, path) for path in exact] if exact else []
        wild = self._wild.get(namespace)
        if wild:
            found += [(event, path) for event, path in wild if name_matches(event, name)]
        return found

    def keys_of(self, event: EventRow) -> list[tuple[str, str, str, str]]:
        """What to look the waits for an event up by: (namespace, event, path, value)."""
        keys = []
        for pattern, path in self.of(event.namespace, event.name):
            value = _value(path, event)
            if value is not None:
                keys.append((event.namespace, pattern, path, value))
        return keys


def _value(path: str, event: EventRow) -> str | None:
    """The value at a path as a row has it; `None` if there is none, since nothing is equal to what is not there."""
    if not path:
        return ""
    value = value_at(_seen(event), path)
    if value is MISSING or value is None:
        return None
    try:
        return canonical(value)
    except RecursionError:
        return None  # nested too deeply to be compared


def _seen(event: EventRow) -> dict[str, Any]:
    """An event as expressions see it; one whose data can't be read has none."""
    try:
        return event_value(event)
    except (ValueError, RecursionError):
        return {"id": event.id, "name": event.name, "data": None, "ts": event.ts // 1000}
