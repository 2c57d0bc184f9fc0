"""Functions, and how a definition is written into a column: a JSON object."""

from __future__ import annotations

import json
from typing import Any, Final

from controlplane.core.definition import (
    NO_OPTIONS,
    Batch,
    CancelOn,
    Concurrency,
    CronTrigger,
    Debounce,
    Definition,
    EventTrigger,
    FunctionRow,
    FunctionState,
    Options,
    RateLimit,
    RetryPolicy,
    Scope,
    Singleton,
    Throttle,
    Timeouts,
)
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import fetch, fetch_value

FUNCTION_COLUMNS = "key, namespace, definition, version, created_at, updated_at, state"

FUNCTIONS_ALL = f"""-- The whole table, in the order of its primary key.
SELECT {FUNCTION_COLUMNS} FROM functions ORDER BY key"""

FUNCTIONS_UPSERT = """-- By functions_by_name.
INSERT INTO functions (namespace, app_id, function_id, version, definition, created_at, updated_at, state)
VALUES (:namespace, :app_id, :function_id, :version, :definition, :created_at, :updated_at, :state)
ON CONFLICT (namespace, app_id, function_id) DO UPDATE SET
  version = excluded.version, definition = excluded.definition, created_at = excluded.created_at,
  updated_at = excluded.updated_at, state = excluded.state
RETURNING key"""


_LISTS: Final[dict[str, type[Any]]] = {"cancel": CancelOn, "concurrency": Concurrency}
_OBJECTS: Final[dict[str, type[Any]]] = {
    "batch": Batch,
    "debounce": Debounce,
    "rate_limit": RateLimit,
    "singleton": Singleton,
    "throttle": Throttle,
    "timeouts": Timeouts,
}


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
            "state": int(row.state),
        },
    )
    assert row.key in (0, key), f"function {row.key} is stored as {key}"
    return row._replace(key=key)


def decode(row: Any) -> FunctionRow:
    """The function of one row of `FUNCTION_COLUMNS`."""
    key, namespace, definition, version, created_at, updated_at, state = row
    return FunctionRow(
        key, namespace, _decode_definition(definition), version, created_at, updated_at, FunctionState(state)
    )


def _encode_definition(definition: Definition) -> str:
    fields = definition._asdict()
    fields["triggers"] = [trigger._asdict() for trigger in definition.triggers]
    fields["retry"] = definition.retry._asdict()
    fields["options"] = _encode_options(definition.options)
    return json.dumps(fields)


def _decode_definition(text: str) -> Definition:
    fields = json.loads(text)
    fields["triggers"] = tuple(
        CronTrigger(**trigger) if "cron" in trigger else EventTrigger(**trigger) for trigger in fields["triggers"]
    )
    retry = fields["retry"]
    fields["retry"] = RetryPolicy(**(retry | {"delays": tuple(retry["delays"])}))
    fields["options"] = _decode_options(fields.get("options", {}))
    return Definition(**fields)


def _encode_options(options: Options) -> dict[str, Any]:
    """Those that differ from what they are without a word; so an older file has none."""
    fields = {name: value for name, value in options._asdict().items() if value != getattr(NO_OPTIONS, name)}
    for name, value in fields.items():
        if name in _LISTS:
            fields[name] = [item._asdict() for item in value]
        elif name in _OBJECTS:
            fields[name] = value._asdict()
    return fields


def _decode_options(fields: dict[str, Any]) -> Options:
    for name, value in fields.items():
        if name in _LISTS:
            fields[name] = tuple(_LISTS[name](**item) for item in value)
        elif name in _OBJECTS:
            fields[name] = _OBJECTS[name](**value)
    options = Options(**fields)
    limits = tuple(limit._replace(scope=Scope(limit.scope)) for limit in options.concurrency)
    return options._replace(concurrency=limits)
