"""Functions, and how a definition is written into a column: a JSON object."""

from __future__ import annotations

import json
from typing import Any

from controlplane.core.definition import CronTrigger, Definition, EventTrigger, FunctionRow, RetryPolicy
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import fetch, fetch_value

FUNCTION_COLUMNS = "key, namespace, definition, version, created_at, updated_at"

FUNCTIONS_ALL = f"""-- The whole table, in the order of its primary key.
SELECT {FUNCTION_COLUMNS} FROM functions ORDER BY key"""

FUNCTIONS_UPSERT = """-- By functions_by_name.
INSERT INTO functions (namespace, app_id, function_id, version, definition, created_at, updated_at)
VALUES (:namespace, :app_id, :function_id, :version, :definition, :created_at, :updated_at)
ON CONFLICT (namespace, app_id, function_id) DO UPDATE SET
  version = excluded.version, definition = excluded.definition, created_at = excluded.created_at,
  updated_at = excluded.updated_at
RETURNING key"""


def get_all(connection: Connection) -> list[FunctionRow]:
    """All functions of all namespaces."""
    return [decode(row) for row in fetch(connection, FUNCTIONS_ALL)]


def upsert(connection: Connection, row: FunctionRow) -> FunctionRow:
    """Store a function by its namespace, app and id."""
    definition = row.definition
    key = fetch_value(
        connection,
        FUNCTIONS_UPSERT,
        {
            "namespace": row.namespace,
            "app_id": definition.app_id,
            "function_id": definition.function_id,
            "version": row.version,
            "definition": _encode_definition(definition),
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        },
    )
    assert row.key in (0, key), f"function {row.key} is stored as {key}"
    return row._replace(key=key)


def decode(row: Any) -> FunctionRow:
    """The function of one row of `FUNCTION_COLUMNS`."""
    key, namespace, definition, version, created_at, updated_at = row
    return FunctionRow(key, namespace, _decode_definition(definition), version, created_at, updated_at)


def _encode_definition(definition: Definition) -> str:
    fields = definition._asdict()
    fields["triggers"] = [trigger._asdict() for trigger in definition.triggers]
    fields["retry"] = definition.retry._asdict()
    return json.dumps(fields)


def _decode_definition(text: str) -> Definition:
    fields = json.loads(text)
    fields["triggers"] = tuple(
        CronTrigger(**trigger) if "cron" in trigger else EventTrigger(**trigger) for trigger in fields["triggers"]
    )
    retry = fields["retry"]
    fields["retry"] = RetryPolicy(**(retry | {"delays": tuple(retry["delays"])}))
    return Definition(**fields)
