"""Waits and signals: insert, delete, and look up by what comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.core.records import SignalRow, WaitRow
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import MOMENT_OR_NULL, NULL_MOMENT, Many, fetch_packed, packed

_COLUMNS = "run_id, step_key, position, namespace, event, path, value, expression, expires_at"

WAITS_SHAPES = f"""-- All of waits_by_value, in its order.
SELECT {packed("namespace, event, path")} FROM (SELECT DISTINCT namespace, event, path FROM waits)"""

WAITS_FIND = Many(
    f"""-- By waits_by_value.
    SELECT {packed(", ".join(f"waits.{column}" for column in _COLUMNS.split(", ")))}
    FROM (VALUES {{rows}}) AS wanted
      CROSS JOIN waits ON waits.namespace = wanted.column1 AND waits.event = wanted.column2
        AND waits.path = wanted.column3 AND waits.value = wanted.column4""",
    "(?, ?, ?, ?)",
)

WAITS_INSERT = Many(
    f"""-- By primary key and waits_by_value.
    INSERT INTO waits ({_COLUMNS}) VALUES {{rows}}""",
    f"(?, ?, ?, ?, ?, ?, ?, ?, {MOMENT_OR_NULL})",
)

WAITS_DELETE = Many(
    """-- By primary key.
    DELETE FROM waits WHERE (run_id, step_key, position) IN (
      SELECT CAST(column1 AS TEXT), CAST(column2 AS TEXT), CAST(column3 AS INTEGER) FROM (VALUES {rows})
    )""",
    "(?, ?, ?)",
)

WAITS_DELETE_OF_RUNS = Many(
    """-- By primary key.
    DELETE FROM waits WHERE run_id IN (VALUES {rows})""",
    "(?)",
)

SIGNALS_GET = Many(
    f"""-- By primary key.
    SELECT {packed("signals.namespace, signals.signal, signals.run_id, signals.step_key")}
    FROM (VALUES {{rows}}) AS wanted
      CROSS JOIN signals ON signals.namespace = wanted.column1 AND signals.signal = wanted.column2""",
    "(?, ?)",
)

SIGNALS_UPSERT = Many(
    """-- By primary key.
    INSERT INTO signals (namespace, signal, run_id, step_key) VALUES {rows}
    ON CONFLICT (namespace, signal) DO UPDATE SET run_id = excluded.run_id, step_key = excluded.step_key""",
    "(?, ?, ?, ?)",
)

SIGNALS_DELETE = Many(
    """-- By primary key.
    DELETE FROM signals WHERE (namespace, signal) IN (
      SELECT CAST(column1 AS TEXT), CAST(column2 AS TEXT) FROM (VALUES {rows})
    )""",
    "(?, ?)",
)

SIGNALS_DELETE_OF_RUNS = Many(
    """-- By signals_by_run.
    DELETE FROM signals WHERE run_id IN (VALUES {rows})""",
    "(?)",
)


def shapes(connection: Connection) -> set[tuple[str, str, str]]:
    """The (namespace, event, path) triples that any wait has."""
    return {(namespace, event, path) for namespace, event, path in fetch_packed(connection, WAITS_SHAPES)}


def find(connection: Connection, keys: Sequence[tuple[str, str, str, str]]) -> list[WaitRow]:
    """The waits with one of these (namespace, event, path, value)."""
    rows = WAITS_FIND.fetch_packed(connection, [text for key in keys for text in key])
    found = [WaitRow._make(row) for row in rows]
    found.sort(key=lambda row: row[:3])
    return found


def insert(connection: Connection, rows: Sequence[WaitRow]) -> None:
    """Store new waits."""
    values: list[Any] = []
    for row in rows:
        values += row[:-1]
        values.append(NULL_MOMENT if row.expires_at is None else row.expires_at)
    WAITS_INSERT.run(connection, values)


def delete(connection: Connection, keys: Sequence[tuple[str, str, int]]) -> None:
    """Delete the waits of these (run id, step key, position)."""
    WAITS_DELETE.run(connection, [value for key in keys for value in key])


def delete_of_runs(connection: Connection, run_ids: Iterable[str]) -> None:
    """Delete all waits and signals of these runs."""
    ids = list(run_ids)
    WAITS_DELETE_OF_RUNS.run(connection, list(ids))
    SIGNALS_DELETE_OF_RUNS.run(connection, list(ids))


def signals(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], SignalRow]:
    """Who waits for these (namespace, signal) pairs."""
    rows = SIGNALS_GET.fetch_packed(connection, [text for key in keys for text in key])
    return {(row[0], row[1]): SignalRow._make(row) for row in rows}


def upsert_signals(connection: Connection, rows: Sequence[SignalRow]) -> None:
    """Store who waits for a signal."""
    SIGNALS_UPSERT.run(connection, [text for row in rows for text in row])


def delete_signals(connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
    """Nobody waits for these (namespace, signal) pairs any more."""
    SIGNALS_DELETE.run(connection, [text for key in keys for text in key])
