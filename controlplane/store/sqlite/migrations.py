"""The tables, and every step by which a file of an older version becomes one of this version.

A step that was released is never changed; a change of the tables is a new step.
"""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database, Migrations

from controlplane.core.definition import FunctionState
from controlplane.core.states import RunState
from controlplane.errors import StoreError
from controlplane.store.sqlite.connection import Connection

MIGRATIONS = Migrations("steplane")

#: Marks a file as ours: "Step" in ASCII.
APPLICATION_ID = 0x53746570


def migrate(connection: Connection) -> None:
    """Bring a file to this version; a new file gets its tables. Raises `StoreError` for a file that is not ours."""
    database = Database(connection, recursive_triggers=False)
    _claim(connection, is_empty=not database.table_names())
    known = {migration.name for migration in MIGRATIONS.pending(Database(memory=True))}
    newer = [migration.name for migration in MIGRATIONS.applied(database) if migration.name not in known]
    if newer:
        raise StoreError(
            f"{connection.path}: a newer version of Steplane wrote it (with {', '.join(newer)}); "
            "start that version, or give another path"
        )
    MIGRATIONS.apply(database)


def _claim(connection: Connection, *, is_empty: bool) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        if application_id or not is_empty:
            raise StoreError(f"{connection.path}: another program's SQLite file; give another path")
        # These stand in the file, and must be set before it has any page.
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA auto_vacuum = none")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    (mode,) = connection.execute("PRAGMA journal_mode = wal").fetchone()
    if mode != "wal":
        raise StoreError(f"{connection.path}: its file system has no shared memory; put the file on a local disk")


@MIGRATIONS()
def m0001_first_tables(database: Database) -> None:
    """Everything of the first version."""
    _functions(database)
    _events(database)
    _runs(database)
    _journal(database)
    _timers(database)
    _sessions(database)


@MIGRATIONS()
def m0002_whole_function_model(database: Database) -> None:
    """Waits, signals, flow control and lanes, batches, and how deep events are in their lineage."""
    for table, column in (
        ("functions", f"state INTEGER NOT NULL DEFAULT {FunctionState.ACTIVE:d}"),
        ("events", "depth INTEGER NOT NULL DEFAULT 0"),
        ("runs", "lane INTEGER NOT NULL DEFAULT 0"),
        ("runs", "depth INTEGER NOT NULL DEFAULT 0"),
        ("runs", "extra TEXT"),
        ("journal", "other_run_id TEXT NOT NULL DEFAULT ''"),
        ("journal", "target TEXT NOT NULL DEFAULT ''"),
    ):
        database.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    database.execute("DROP INDEX runs_queued")
    database.execute(
        f"CREATE INDEX runs_queued ON runs (function_key, lane, queued_at, id) WHERE state = {RunState.QUEUED:d}"
    )
    # For the start of the server only: who holds slots.
    database.execute("CREATE INDEX runs_in_flow ON runs (key) WHERE extra IS NOT NULL AND ended_at IS NULL")
    database.table("events").create_index(["name"], index_name="events_by_name")
    _run_events(database)
    _waits(database)
    _flow(database)


@MIGRATIONS()
def m0003_pollers(database: Database) -> None:
    """Sessions of workers that poll: their leases stand without a stream."""
    database.execute("ALTER TABLE sessions ADD COLUMN is_poller INTEGER NOT NULL DEFAULT 0")


def _run_events(database: Database) -> None:
    # The first event of a batch stands in its run; these are the others.
    _create_without_rowid(
        database, "run_events", {"event_key": int, "run_id": str, "position": int}, pk=("event_key", "run_id")
    )
    database.table("run_events").create_index(["run_id"], index_name="run_events_by_run")


def _waits(database: Database) -> None:
    _create_without_rowid(
        database,
        "waits",
        {
            "run_id": str,
            "step_key": str,
            "position": int,
            "namespace": str,
            "event": str,
            "path": str,
            "value": str,
            "expression": str,
            "expires_at": int,
        },
        pk=("run_id", "step_key", "position"),
    )
    database.table("waits").create_index(["namespace", "event", "path", "value"], index_name="waits_by_value")
    _create_without_rowid(
        database,
        "signals",
        {"namespace": str, "signal": str, "run_id": str, "step_key": str},
        pk=("namespace", "signal"),
    )
    database.table("signals").create_index(["run_id"], index_name="signals_by_run")


def _flow(database: Database) -> None:
    _create_without_rowid(
        database,
        "flow",
        {"function_key": int, "kind": int, "key": int, "value": str, "expires_at": int, "holds_event": int},
        pk=("function_key", "kind", "key"),
    )
    database.execute("CREATE INDEX flow_by_expiry ON flow (expires_at) WHERE expires_at IS NOT NULL")
    database.execute("CREATE INDEX flow_by_event ON flow (holds_event) WHERE holds_event IS NOT NULL")


def _functions(database: Database) -> None:
    database.create_table(
        "functions",
        {
            "key": int,
            "namespace": str,
            "app_id": str,
            "function_id": str,
            "version": int,
            "definition": str,
            "created_at": int,
            "updated_at": int,
        },
        pk="key",
        strict=True,
    )
    database.table("functions").create_index(
        ["namespace", "app_id", "function_id"], index_name="functions_by_name", unique=True
    )


def _events(database: Database) -> None:
    # The data comes last: what stands before it is read without walking through the pages of large data.
    database.create_table(
        "events",
        {
            "key": int,
            "namespace": str,
            "id": str,
            "name": str,
            "encoding": str,
            "ts": int,
            "received_at": int,
            "traceparent": str,
            "tracestate": str,
            "source_run_id": str,
            "source_step_key": str,
            "data": bytes,
        },
        pk="key",
        strict=True,
    )
    # Not unique: after the dedupe window the same id may come again.
    database.table("events").create_index(["namespace", "id"], index_name="events_by_id")
    database.execute("CREATE INDEX events_by_source ON events (source_run_id) WHERE source_run_id IS NOT NULL")
    database.create_table("counters", {"name": str, "value": int}, pk="name", strict=True)
    database.table("counters").insert({"name": "event_key", "value": 1})


def _runs(database: Database) -> None:
    database.create_table(
        "runs",
        {
            "key": int,
            "id": str,
            "namespace": str,
            "function_key": int,
            "event_key": int,
            "created_at": int,
            "traceparent": str,
            "tracestate": str,
            "state": int,
            "epoch": int,
            "attempt": int,
            "deliveries": int,
            "session_id": str,
            "queued_at": int,
            "due_at": int,
            "started_at": int,
            "ended_at": int,
            "step_count": int,
            "journal_bytes": int,
            "has_timers": int,
            "output_encoding": str,
            "failure": str,
            "output": bytes,
        },
        pk="key",
        strict=True,
    )
    table = database.table("runs")
    table.create_index(["id"], index_name="runs_by_id", unique=True)
    table.create_index(["event_key"], index_name="runs_by_event")
    # Partial, so that runs that are neither queued nor leased cost nothing here.
    database.execute(
        f"CREATE INDEX runs_queued ON runs (function_key, queued_at, id) WHERE state = {RunState.QUEUED:d}"
    )
    database.execute("CREATE INDEX runs_leased ON runs (session_id) WHERE session_id IS NOT NULL")


def _journal(database: Database) -> None:
    database.create_table(
        "journal",
        {
            "seq": int,
            "run_id": str,
            "step_key": str,
            "kind": int,
            "state": int,
            "attempts": int,
            "output_encoding": str,
            "failure": str,
            "started_at": int,
            "ended_at": int,
            "due_at": int,
            "event_ids": str,
            "output": bytes,
        },
        pk="seq",
        strict=True,
    )
    database.table("journal").create_index(["run_id", "step_key"], index_name="journal_by_step", unique=True)


def _timers(database: Database) -> None:
    _create_without_rowid(
        database,
        "timers",
        {"subject": str, "kind": int, "detail": str, "due_at": int},
        pk=("subject", "kind", "detail", "due_at"),
    )
    database.table("timers").create_index(["due_at"], index_name="timers_by_due")


def _sessions(database: Database) -> None:
    _create_without_rowid(
        database,
        "sessions",
        {
            "id": str,
            "namespace": str,
            "app_id": str,
            "instance_id": str,
            "sdk": str,
            "language": str,
            "connected_at": int,
            "expires_at": int,
        },
        pk="id",
    )


def _create_without_rowid(database: Database, name: str, columns: dict[str, Any], *, pk: Any) -> None:
    sql = database.create_table_sql(name, columns, pk=pk, strict=True)
    database.execute(sql.rstrip().removesuffix(";") + ", WITHOUT ROWID")
