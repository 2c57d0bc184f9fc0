"""Timers: insert, delete, and find what is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from controlplane.core.records import RUN_TIMERS, TimerKind, TimerRow
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import Many, fetch, fetch_packed, fetch_value, packed

_KINDS: Final = (None, *TimerKind)

TIMERS_DUE = f"""-- In the order of timers_by_due, and from it alone.
SELECT {packed("due_at, kind, subject, detail")} FROM (
  SELECT due_at, kind, subject, detail FROM timers WHERE due_at <= ? ORDER BY due_at LIMIT ?
)"""

TIMERS_NEXT_DUE = """-- The first of timers_by_due.
SELECT min(due_at) FROM timers"""

TIMERS_INSERT = Many(
    """-- By primary key.
    INSERT INTO timers (subject, kind, detail, due_at) VALUES {rows} ON CONFLICT DO NOTHING""",
    "(?, ?, ?, ?)",
)

TIMERS_DELETE = Many(
    """-- By timers_by_due. Without the types, or with a bare VALUES list, it would look at more timers than these.
    DELETE FROM timers WHERE (subject, kind, detail, due_at) IN (
      SELECT CAST(column1 AS TEXT), CAST(column2 AS INTEGER), CAST(column3 AS TEXT), CAST(column4 AS INTEGER)
      FROM (VALUES {rows})
    )""",
    "(?, ?, ?, ?)",
)

TIMERS_DELETE_OF_RUNS = Many(
    f"""-- By primary key.
    DELETE FROM timers WHERE subject IN (VALUES {{rows}}) AND kind IN ({", ".join(f"{kind:d}" for kind in RUN_TIMERS)})""",
    "(?)",
)

TIMERS_OF_SUBJECT = """-- By primary key.
SELECT due_at, kind, subject, detail FROM timers WHERE subject = ? AND kind = ?"""


def due(connection: Connection, now: int, limit: int) -> list[TimerRow]:
    """The timers due at `now` or before, earliest first."""
    rows = fetch_packed(connection, TIMERS_DUE, (now, limit))
    rows.sort()
    return [_decode(row) for row in rows]


def next_due(connection: Connection) -> int | None:
    """When the earliest timer is due."""
    found: int | None = fetch_value(connection, TIMERS_NEXT_DUE)
    return found


def insert(connection: Connection, rows: Iterable[TimerRow]) -> None:
    """Store timers, unless they are there already."""
    TIMERS_INSERT.run(connection, _values(rows))


def delete(connection: Connection, rows: Iterable[TimerRow]) -> None:
    """Delete exactly these timers."""
    TIMERS_DELETE.run(connection, _values(rows))


def delete_of_runs(connection: Connection, run_ids: Iterable[str]) -> None:
    """Delete all timers of these runs."""
    TIMERS_DELETE_OF_RUNS.run(connection, list(run_ids))


def replace_cron(connection: Connection, function_key: int, rows: Sequence[TimerRow]) -> None:
    """Make these the only CRON timers of a function, but let a trigger keep the timer that it has."""
    wanted = {row.detail: row for row in rows}
    kept: set[str] = set()
    gone: list[TimerRow] = []
    for row in map(_decode, fetch(connection, TIMERS_OF_SUBJECT, (str(function_key), int(TimerKind.CRON)))):
        if row.detail in wanted:
            kept.add(row.detail)
        else:
            gone.append(row)
    delete(connection, gone)
    insert(connection, [row for detail, row in wanted.items() if detail not in kept])


def _values(rows: Iterable[TimerRow]) -> list[Any]:
    values: list[Any] = []
    for due_at, kind, subject, detail in rows:
        values += (subject, int(kind), detail, due_at)
    return values


def _decode(row: Sequence[Any]) -> TimerRow:
    due_at, kind, subject, detail = row
    return TimerRow(due_at, TimerKind(kind), subject, detail)
