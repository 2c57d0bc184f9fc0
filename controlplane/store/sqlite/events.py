"""Events: insert, look up by key, recognise ids, hand out keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.core.records import EventRow
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import (
    NULL_TEXT,
    TEXT_OR_NULL,
    Many,
    fetch_packed,
    fetch_value,
    packed,
    packed_blob,
    run,
    unpack_blobs,
)

#: How many keys are set aside on disk at a time. Those left over at a restart are never used.
_KEYS_SET_ASIDE = 10_000

_DATA = EventRow._fields.index("data")

EVENT_COLUMNS = """
  events.key, events.namespace, events.id, events.name, {data}, events.encoding, events.ts, events.received_at,
  events.traceparent, events.tracestate, events.source_run_id, events.source_step_key, events.depth
"""

EVENTS_INSERT = Many(
    """-- Appends to the table and to its indexes.
    INSERT INTO events (key, namespace, id, name, data, encoding, ts, received_at, traceparent, tracestate,
                        source_run_id, source_step_key, depth)
    VALUES {rows}""",
    f"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {TEXT_OR_NULL}, {TEXT_OR_NULL}, ?)",
)

EVENTS_GET = Many(
    f"""-- By primary key.
    SELECT {packed(EVENT_COLUMNS.format(data=packed_blob("events.data", "events.key")))}
    FROM (VALUES {{rows}}) AS wanted CROSS JOIN events ON events.key = wanted.column1""",
    "(?)",
)

EVENTS_DATA = """-- By primary key.
SELECT data FROM events WHERE key = ?"""

EVENTS_KNOWN = Many(
    """-- By events_by_id.
    SELECT events.namespace, events.id, events.received_at
    FROM (VALUES {rows}) AS wanted
      CROSS JOIN events ON events.namespace = wanted.column1 AND events.id = wanted.column2""",
    "(?, ?)",
)

_PAGE = """
  WHERE events.key > :after_key AND events.namespace = :namespace AND {name} AND events.received_at >= :received_min
  ORDER BY events.key LIMIT :limit
) AS page CROSS JOIN events ON events.key = page.key"""
_PAGED = f"SELECT {packed(EVENT_COLUMNS.format(data=packed_blob('events.data', 'events.key')))} FROM ("

EVENTS_SINCE = f"""-- Through events_by_name.
{_PAGED} SELECT key FROM events INDEXED BY events_by_name {_PAGE.format(name="events.name = :name")}"""

EVENTS_SINCE_LIKE = f"""-- Through the primary key.
{_PAGED} SELECT key FROM events NOT INDEXED {_PAGE.format(name="substr(events.name, 1, length(:name)) = :name")}"""

EVENT_KEYS_GET = """-- By primary key.
SELECT value FROM counters WHERE name = 'event_key'"""

EVENT_KEYS_SET = """-- By primary key.
UPDATE counters SET value = ? WHERE name = 'event_key'"""


class EventKeys:
    """Hands out keys that were never handed out before, whatever became of the events that had them.

    What is on disk is a ceiling: all keys handed out are below it, and after a restart the first one is the ceiling.
    """

    def __init__(self, connection: Connection) -> None:
        self._next: int = fetch_value(connection, EVENT_KEYS_GET)
        self._ceiling = self._next

    def reserve(self, connection: Connection, count: int) -> int:
        """The first of `count` keys in a row."""
        first = self._next
        self._next += count
        if self._next > self._ceiling:
            self._ceiling = self._next + _KEYS_SET_ASIDE
            run(connection, EVENT_KEYS_SET, (self._ceiling,))
        return first

    def forget(self) -> None:
        """The transaction was rolled back, and the ceiling may have been written in it."""
        self._ceiling = 0


def insert(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Store new events."""
    values: list[Any] = []
    for (
        key,
        namespace,
        id_,
        name,
        data,
        encoding,
        ts,
        received_at,
        traceparent,
        tracestate,
        run_id,
        step_key,
        depth,
    ) in rows:
        values += (
            key,
            namespace,
            id_,
            name,
            bytearray(data),
            encoding,
            ts,
            received_at,
            traceparent,
            tracestate,
            NULL_TEXT if run_id is None else run_id,
            NULL_TEXT if step_key is None else step_key,
            depth,
        )
    EVENTS_INSERT.run(connection, values)


def get(connection: Connection, keys: Iterable[int]) -> dict[int, EventRow]:
    """These events, by key."""
    rows = EVENTS_GET.fetch_packed(connection, list(keys))
    unpack_blobs(connection, rows, _DATA, EVENTS_DATA)
    return {row[0]: EventRow._make(row) for row in rows}


def since(
    connection: Connection, namespace: str, pattern: str, *, received_min: int, after_key: int, limit: int
) -> list[EventRow]:
    """Events of a name received at a moment or later, by key, above a key."""
    is_wild = pattern.endswith("*")
    parameters = {
        "namespace": namespace,
        "name": pattern.removesuffix("*"),
        "received_min": received_min,
        "after_key": after_key,
        "limit": limit,
    }
    rows = fetch_packed(connection, EVENTS_SINCE_LIKE if is_wild else EVENTS_SINCE, parameters)
    unpack_blobs(connection, rows, _DATA, EVENTS_DATA)
    rows.sort()
    return [EventRow._make(row) for row in rows]


def known_ids(connection: Connection, ids: Sequence[tuple[str, str]], received_after: int) -> set[tuple[str, str]]:
    """Which of these (namespace, id) pairs name an event received after that moment."""
    rows = EVENTS_KNOWN.fetch(connection, [text for pair in ids for text in pair])
    return {(namespace, id_) for namespace, id_, received_at in rows if received_at > received_after}
