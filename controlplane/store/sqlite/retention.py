"""Deletes what is older than retention keeps, a bounded piece at a time."""

from __future__ import annotations

from typing import Final

from controlplane.core.limits import MIB
from controlplane.core.records import TimerKind
from controlplane.core.states import ENDED
from controlplane.store.interface import Swept
from controlplane.store.sqlite import timers, waits
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import Many, fetch_packed, fetch_value, packed

#: No more than this is deleted of journals in one piece, but for the last run's.
_ENTRIES_MAX: Final = 10_000
_BYTES_MAX: Final = 16 * MIB
_KEY_MAX: Final = 2**63 - 1

SWEEP_RUNS_LOOK = f"""-- In the order of runs_by_id.
SELECT {packed("id, key, state, created_at, ended_at, step_count, journal_bytes")} FROM (
  SELECT * FROM runs WHERE id > :cursor ORDER BY id LIMIT :limit
)"""

SWEEP_RUNS_DELETE = Many(
    """-- By primary key.
    DELETE FROM runs WHERE key IN (VALUES {rows})""",
    "(?)",
)

SWEEP_JOURNALS_DELETE = Many(
    """-- By journal_by_step.
    DELETE FROM journal WHERE run_id IN (VALUES {rows})""",
    "(?)",
)

SWEEP_EVENTS_LOOK = f"""-- By primary key; for each old event by runs_by_event, runs_by_id and the timers' own.
SELECT {packed("key, received_at, can_go")} FROM (
  SELECT key, received_at, CASE WHEN received_at < :before THEN
    NOT EXISTS (SELECT 1 FROM runs WHERE runs.event_key = events.key)
    AND NOT EXISTS (SELECT 1 FROM run_events WHERE run_events.event_key = events.key)
    AND events.key < :held_from
    AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = events.source_run_id)
    AND NOT EXISTS (
      SELECT 1 FROM timers WHERE timers.subject = CAST(events.key AS TEXT) AND timers.kind = {TimerKind.EVENT:d}
    )
  END AS can_go
  FROM events WHERE key > :cursor ORDER BY key LIMIT :limit
)"""

SWEEP_HELD_FROM = """-- The first of flow_by_event.
SELECT min(holds_event) FROM flow WHERE holds_event IS NOT NULL"""

SWEEP_RUN_EVENTS_DELETE = Many(
    """-- By run_events_by_run.
    DELETE FROM run_events WHERE run_id IN (VALUES {rows})""",
    "(?)",
)

SWEEP_EVENTS_DELETE = Many(
    """-- By primary key.
    DELETE FROM events WHERE key IN (VALUES {rows})""",
    "(?)",
)


def sweep(connection: Connection, *, before: int, limit: int, run_cursor: str, event_cursor: int) -> Swept:
    """Delete ended runs and events that are older than `before`."""
    runs, run_cursor = _sweep_runs(connection, before=before, limit=limit, cursor=run_cursor)
    events, event_cursor = _sweep_events(connection, before=before, limit=limit, cursor=event_cursor)
    return Swept(runs, events, run_cursor, event_cursor)


def _sweep_runs(connection: Connection, *, before: int, limit: int, cursor: str) -> tuple[int, str]:
    """How many runs were deleted, and the next cursor."""
    rows = fetch_packed(connection, SWEEP_RUNS_LOOK, {"cursor": cursor, "limit": limit})
    rows.sort()
    keys: list[int] = []
    ids: list[str] = []
    entries = size = 0
    for id_, key, state, created_at, ended_at, step_count, journal_bytes in rows:
        if created_at >= before:
            cursor = ""
            break
        cursor = id_
        if state in ENDED and ended_at < before:
            keys.append(key)
            ids.append(id_)
            entries += step_count
            size += journal_bytes
        if entries >= _ENTRIES_MAX or size >= _BYTES_MAX:
            break
    else:
        if len(rows) < limit:
            cursor = ""
    SWEEP_JOURNALS_DELETE.run(connection, list(ids))
    SWEEP_RUN_EVENTS_DELETE.run(connection, list(ids))
    timers.delete_of_runs(connection, ids)
    waits.delete_of_runs(connection, ids)
    SWEEP_RUNS_DELETE.run(connection, list(keys))
    return len(keys), cursor


def _sweep_events(connection: Connection, *, before: int, limit: int, cursor: int) -> tuple[int, int]:
    """How many events were deleted, and the next cursor."""
    held_from = fetch_value(connection, SWEEP_HELD_FROM)
    parameters = {
        "before": before,
        "cursor": cursor,
        "limit": limit,
        "held_from": _KEY_MAX if held_from is None else held_from,
    }
    rows = fetch_packed(connection, SWEEP_EVENTS_LOOK, parameters)
    rows.sort()
    deleted = SWEEP_EVENTS_DELETE.run(connection, [key for key, _, can_go in rows if can_go])
    is_end = len(rows) < limit or rows[-1][1] >= before
    return deleted, 0 if is_end else rows[-1][0]
