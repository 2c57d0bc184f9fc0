"""What flow control remembers: one row a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.core.records import FlowKind, FlowRow
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import MOMENT_OR_NULL, NULL_MOMENT, Many, packed, run

_COLUMNS = "function_key, kind, key, value, expires_at, holds_event"

FLOW_GET = Many(
    f"""-- By primary key.
    SELECT {packed(", ".join(f"flow.{column}" for column in _COLUMNS.split(", ")))}
    FROM (VALUES {{rows}}) AS wanted
      CROSS JOIN flow ON flow.function_key = wanted.column1 AND flow.kind = wanted.column2
        AND flow.key = wanted.column3""",
    "(?, ?, ?)",
)

FLOW_UPSERT = Many(
    f"""-- By primary key.
    INSERT INTO flow ({_COLUMNS}) VALUES {{rows}} ON CONFLICT (function_key, kind, key) DO UPDATE SET
      value = excluded.value, expires_at = excluded.expires_at, holds_event = excluded.holds_event""",
    f"(?, ?, ?, ?, {MOMENT_OR_NULL}, {MOMENT_OR_NULL})",
)

FLOW_DELETE = Many(
    """-- By primary key.
    DELETE FROM flow WHERE (function_key, kind, key) IN (
      SELECT CAST(column1 AS INTEGER), CAST(column2 AS INTEGER), CAST(column3 AS INTEGER) FROM (VALUES {rows})
    )""",
    "(?, ?, ?)",
)

FLOW_SWEEP = """-- In the order of flow_by_expiry.
DELETE FROM flow WHERE (function_key, kind, key) IN (
  SELECT function_key, kind, key FROM flow WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
)"""


def get(connection: Connection, keys: Sequence[tuple[int, FlowKind, int]]) -> dict[tuple[int, FlowKind, int], FlowRow]:
    """What is remembered of these (function key, kind, key)."""
    found = {}
    for function_key, kind, key, value, expires_at, holds_event in FLOW_GET.fetch_packed(connection, _values(keys)):
        row = FlowRow(function_key, FlowKind(kind), key, value, expires_at, holds_event)
        found[row[:3]] = row
    return found


def upsert(connection: Connection, rows: Sequence[FlowRow]) -> None:
    """Store what is to be remembered."""
    values: list[Any] = []
    for function_key, kind, key, value, expires_at, holds_event in rows:
        values += (
            function_key,
            int(kind),
            key,
            value,
            NULL_MOMENT if expires_at is None else expires_at,
            NULL_MOMENT if holds_event is None else holds_event,
        )
    FLOW_UPSERT.run(connection, values)


def delete(connection: Connection, keys: Sequence[tuple[int, FlowKind, int]]) -> None:
    """Forget these (function key, kind, key)."""
    FLOW_DELETE.run(connection, _values(keys))


def sweep(connection: Connection, *, now: int, limit: int) -> int:
    """Delete rows that have expired."""
    return run(connection, FLOW_SWEEP, (now, limit))


def _values(keys: Sequence[tuple[int, FlowKind, int]]) -> list[Any]:
    return [value for function_key, kind, key in keys for value in (function_key, int(kind), key)]
