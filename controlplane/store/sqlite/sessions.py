"""Sessions: few rows, written at heartbeats."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.core.records import SessionRow
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import Many, fetch

_COLUMNS = "id, namespace, app_id, instance_id, sdk, language, connected_at, expires_at, is_poller"
_SET = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[1:])

SESSIONS_ALL = f"""-- The whole table, in the order of its primary key.
SELECT {_COLUMNS} FROM sessions ORDER BY id"""

SESSIONS_UPSERT = Many(
    f"""-- By primary key.
    INSERT INTO sessions ({_COLUMNS}) VALUES {{rows}} ON CONFLICT (id) DO UPDATE SET {_SET}""",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
)

SESSIONS_DELETE = Many(
    """-- By primary key.
    DELETE FROM sessions WHERE id IN (VALUES {rows})""",
    "(?)",
)


def get_all(connection: Connection) -> list[SessionRow]:
    """All sessions."""
    return [SessionRow._make(row) for row in fetch(connection, SESSIONS_ALL)]


def upsert(connection: Connection, rows: Iterable[SessionRow]) -> None:
    """Store sessions, by id."""
    SESSIONS_UPSERT.run(connection, [value for row in rows for value in row])


def delete(connection: Connection, ids: Iterable[str]) -> None:
    """Delete sessions."""
    SESSIONS_DELETE.run(connection, list(ids))
