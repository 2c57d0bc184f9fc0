"""What operators look at: runs, events and functions in pages, and the threads that tie them together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from controlplane.core import ids
from controlplane.core.definition import FunctionRow, FunctionState
from controlplane.core.limits import MILLISECOND
from controlplane.core.records import EventRow, RunRow
from controlplane.store.interface import RunFilter, RunView
from controlplane.store.sqlite import functions, runs
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.events import EVENT_COLUMNS
from controlplane.store.sqlite.functions import FUNCTION_COLUMNS
from controlplane.store.sqlite.runs import RUN_COLUMNS
from controlplane.store.sqlite.statement import fetch, fetch_packed, fetch_until, packed

_RUN_WIDTH: Final = len(RunRow._fields)
_DATA: Final = EventRow._fields.index("data")
_KEY_MAX: Final = 2**63 - 1

_VIEW = f"{RUN_COLUMNS}, functions.app_id, functions.function_id, coalesce(events.id, ''), coalesce(events.name, '')"
_PACKED_VIEW = packed(_VIEW.format(output="NULL"))
_NAMED = """
  CROSS JOIN functions ON functions.key = runs.function_key
  LEFT JOIN events ON events.key = runs.event_key"""
_PACKED_EVENT = packed(EVENT_COLUMNS.format(data="NULL"))

RUNS_VIEW = f"""-- By runs_by_id.
SELECT {_VIEW.format(output="runs.output")} FROM runs {_NAMED}
WHERE runs.id = :run_id AND runs.namespace = :namespace"""

RUNS_LIST = f"""-- Backwards through runs_by_id, until there are enough that pass.
SELECT {_PACKED_VIEW} FROM (
  SELECT key FROM runs INDEXED BY runs_by_id WHERE {{conditions}} ORDER BY id DESC LIMIT :limit
) AS page CROSS JOIN runs ON runs.key = page.key {_NAMED}"""

RUNS_LIST_OF_EVENT = f"""-- By events_by_id, runs_by_event and run_events.
SELECT {_PACKED_VIEW} FROM (
  SELECT id, key FROM runs INDEXED BY runs_by_event
  WHERE event_key IN (SELECT key FROM events WHERE namespace = :namespace AND id = :event_id) AND {{conditions}}
  UNION
  SELECT id, key FROM runs INDEXED BY runs_by_id
  WHERE id IN (
    SELECT run_id FROM run_events WHERE event_key IN (
      SELECT key FROM events WHERE namespace = :namespace AND id = :event_id
    )
  ) AND {{conditions}}
  ORDER BY id DESC LIMIT :limit
) AS page CROSS JOIN runs ON runs.key = page.key {_NAMED}"""

RUNS_OF_EVENTS = f"""-- By runs_by_event and run_events.
SELECT {_PACKED_VIEW} FROM (
  SELECT id, key FROM runs WHERE event_key IN (SELECT value FROM json_each(:event_keys))
  UNION
  SELECT id, key FROM runs WHERE id IN (
    SELECT run_id FROM run_events WHERE event_key IN (SELECT value FROM json_each(:event_keys))
  )
  ORDER BY id LIMIT :limit
) AS page CROSS JOIN runs ON runs.key = page.key {_NAMED}"""

EVENTS_LIST = f"""-- Backwards through the primary key, until there are enough that pass.
SELECT {EVENT_COLUMNS.format(data="events.data")} FROM events NOT INDEXED
WHERE namespace = :namespace AND key < :before_key ORDER BY key DESC LIMIT :limit"""

EVENTS_LIST_OF_NAME = f"""-- Backwards through events_by_name.
SELECT {EVENT_COLUMNS.format(data="events.data")} FROM events
WHERE namespace = :namespace AND name = :name AND key < :before_key ORDER BY key DESC LIMIT :limit"""

RUN_EVENTS = """-- By run_events_by_run, and events by primary key.
SELECT events.id FROM run_events JOIN events ON events.key = run_events.event_key
WHERE run_events.run_id = ? ORDER BY run_events.position"""

EVENTS_LIST_OF_ID = f"""-- Backwards through events_by_id.
SELECT {EVENT_COLUMNS.format(data="events.data")} FROM events
WHERE namespace = :namespace AND id = :id AND key < :before_key AND (:name = '' OR name = :name)
ORDER BY key DESC LIMIT :limit"""

EVENTS_FIND = f"""-- The last in events_by_id.
SELECT {EVENT_COLUMNS.format(data="x''")} FROM events
WHERE namespace = :namespace AND id = :id ORDER BY key DESC LIMIT 1"""

EVENTS_SENT_BY = f"""-- By events_by_source.
SELECT {_PACKED_EVENT} FROM (
  SELECT key FROM events WHERE source_run_id IN (SELECT value FROM json_each(:run_ids)) ORDER BY key LIMIT :limit
) AS page CROSS JOIN events ON events.key = page.key"""

FUNCTIONS_LIST = f"""-- In the order of functions_by_name.
SELECT {FUNCTION_COLUMNS} FROM functions
WHERE namespace = :namespace AND (app_id, function_id) > (:after_app_id, :after_function_id)
  AND state <> {FunctionState.DELETED:d} AND (:app_id = '' OR app_id = :app_id)
ORDER BY app_id, function_id LIMIT :limit"""


def get_run(connection: Connection, namespace: str, run_id: str) -> RunView | None:
    """One run, with its output."""
    rows = fetch(connection, RUNS_VIEW, {"namespace": namespace, "run_id": run_id})
    if not rows:
        return None
    view = _view(list(rows[0]))
    if view.run.extra is None or not view.run.extra.more_events:
        return view
    return view._replace(more_event_ids=tuple(id_ for (id_,) in fetch(connection, RUN_EVENTS, (run_id,))))


def list_runs(connection: Connection, filter_: RunFilter, *, before_id: str, limit: int) -> list[RunView]:
    """Runs that pass the filter, newest id first."""
    sql = RUNS_LIST_OF_EVENT if filter_.event_id else RUNS_LIST
    conditions, parameters = _conditions(filter_, before_id)
    views = _views(fetch_packed(connection, sql.format(conditions=conditions), parameters | {"limit": limit}))
    views.reverse()
    return views


def runs_of_events(connection: Connection, event_keys: Sequence[int], limit: int) -> list[RunView]:
    """The runs that these events started, oldest first."""
    parameters = {"event_keys": json.dumps(list(event_keys)), "limit": limit}
    return _views(fetch_packed(connection, RUNS_OF_EVENTS, parameters))


def list_events(
    connection: Connection, namespace: str, *, name: str, id_: str, before_key: int, limit: int, bytes_max: int
) -> list[EventRow]:
    """Events newest first, up to `bytes_max` of data."""
    parameters = {
        "namespace": namespace,
        "name": name,
        "id": id_,
        "before_key": before_key or _KEY_MAX,
        "limit": limit,
    }
    sql = EVENTS_LIST_OF_ID if id_ else EVENTS_LIST_OF_NAME if name else EVENTS_LIST
    rows = fetch_until(connection, sql, parameters, blob=_DATA, bytes_max=bytes_max)
    return [EventRow._make(row) for row in rows]


def find_event(connection: Connection, namespace: str, event_id: str) -> EventRow | None:
    """The newest event with that id, without its data."""
    rows = fetch(connection, EVENTS_FIND, {"namespace": namespace, "id": event_id})
    return EventRow._make(rows[0]) if rows else None


def events_sent_by(connection: Connection, run_ids: Sequence[str], limit: int) -> list[EventRow]:
    """The events that steps of these runs sent, oldest first, without their data."""
    rows = fetch_packed(connection, EVENTS_SENT_BY, {"run_ids": json.dumps(list(run_ids)), "limit": limit})
    events = [EventRow._make(row)._replace(data=b"") for row in rows]
    events.sort(key=lambda event: event.key)
    return events


def list_functions(
    connection: Connection, namespace: str, *, app_id: str, after: tuple[str, str], limit: int
) -> list[FunctionRow]:
    """Functions by (app id, function id), beyond the pair `after`."""
    after_app_id, after_function_id = after
    parameters = {
        "namespace": namespace,
        "app_id": app_id,
        "after_app_id": after_app_id,
        "after_function_id": after_function_id,
        "limit": limit,
    }
    return [functions.decode(row) for row in fetch(connection, FUNCTIONS_LIST, parameters)]


def _conditions(filter_: RunFilter, before_id: str) -> tuple[str, dict[str, Any]]:
    """What a run must fulfil, as SQL and its parameters. The id bounds how far the index is walked."""
    conditions = ["namespace = :namespace"]
    if before_id:
        conditions.append("id < :before_id")
    if filter_.created_min is not None:
        conditions.append("id >= :id_min AND created_at >= :created_min")
    if filter_.created_max is not None:
        conditions.append("id < :id_max AND created_at < :created_max")
    if filter_.states:
        # Numbers of an enum, not text from anywhere else.
        conditions.append(f"state IN ({', '.join(f'{state:d}' for state in filter_.states)})")
    if filter_.app_id or filter_.function_id:
        conditions.append(
            "function_key IN (SELECT key FROM functions WHERE namespace = :namespace "
            "AND (:app_id = '' OR app_id = :app_id) AND (:function_id = '' OR function_id = :function_id))"
        )
    parameters = filter_._asdict()
    del parameters["states"]
    parameters["before_id"] = before_id
    parameters["id_min"] = ids.floor(filter_.created_min or 0)
    parameters["id_max"] = ids.floor((filter_.created_max or 0) + MILLISECOND)
    return " AND ".join(conditions), parameters


def _views(rows: list[list[Any]]) -> list[RunView]:
    """The views of rows of `_VIEW`, in the order of their ids."""
    views = [_view(row) for row in rows]
    views.sort(key=lambda view: view.run.id)
    return views


def _view(row: list[Any]) -> RunView:
    return RunView(runs.decode(row[:_RUN_WIDTH]), *row[_RUN_WIDTH:])
