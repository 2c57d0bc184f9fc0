"""The journal: record steps, look them up, read whole journals in the order of recording."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from controlplane.core.records import JournalRow
from controlplane.core.states import StepKind, StepState
from controlplane.store.sqlite import failures
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.statement import (
    MOMENT_OR_NULL,
    NULL_MOMENT,
    NULL_TEXT,
    TEXT_OR_NULL,
    Many,
    fetch_until,
    packed,
    packed_blob,
    unpack_blobs,
)

_KIND = JournalRow._fields.index("kind")
_STATE = JournalRow._fields.index("state")
_OUTPUT = JournalRow._fields.index("output")
_FAILURE = JournalRow._fields.index("failure")
_EVENT_IDS = JournalRow._fields.index("event_ids")
_KINDS: Final = (None, *StepKind)
_STATES: Final = (None, *StepState)

ENTRY_COLUMNS = """
  journal.run_id, journal.step_key, journal.kind, journal.state, journal.attempts, {output}, journal.output_encoding,
  journal.failure, journal.started_at, journal.ended_at, journal.due_at, journal.event_ids, journal.other_run_id,
  journal.target
"""
_COLUMNS = (
    "run_id, step_key, kind, state, attempts, output, output_encoding, failure, started_at, ended_at, due_at, event_ids, "
    "other_run_id, target"
)
_VALUES = (
    f"(?, ?, ?, ?, ?, {TEXT_OR_NULL}, ?, {TEXT_OR_NULL}, ?, {MOMENT_OR_NULL}, {MOMENT_OR_NULL}, {TEXT_OR_NULL}, ?, ?)"
)
_SET = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[2:])
_PACKED = packed("journal.seq, " + ENTRY_COLUMNS.format(output=packed_blob("journal.output", "journal.seq")))

ENTRIES_INSERT = Many(
    f"""-- Appends to the table; journal_by_step refuses a step key that is recorded already.
    INSERT INTO journal ({_COLUMNS}) VALUES {{rows}}""",
    _VALUES,
)

ENTRIES_UPDATE = Many(
    f"""-- By journal_by_step. An UPDATE with a list of rows would first copy it to a table of its own.
    INSERT INTO journal ({_COLUMNS}) VALUES {{rows}} ON CONFLICT (run_id, step_key) DO UPDATE SET {_SET}""",
    _VALUES,
)

ENTRIES_NEWEST = """-- The last of the primary key.
SELECT max(seq) FROM journal"""

ENTRIES_GET = Many(
    f"""-- By journal_by_step.
    SELECT {_PACKED}
    FROM (VALUES {{rows}}) AS wanted
      CROSS JOIN journal ON journal.run_id = wanted.column1 AND journal.step_key = wanted.column2""",
    "(?, ?)",
)

JOURNALS_GET = Many(
    f"""-- By journal_by_step.
    SELECT {_PACKED} FROM (VALUES {{rows}}) AS wanted CROSS JOIN journal ON journal.run_id = wanted.column1""",
    "(?)",
)

JOURNALS_GET_BARE = Many(
    f"""-- By journal_by_step. Without outputs.
    SELECT {packed("journal.seq, " + ENTRY_COLUMNS.format(output="NULL"))}
    FROM (VALUES {{rows}}) AS wanted CROSS JOIN journal ON journal.run_id = wanted.column1""",
    "(?)",
)

ENTRIES_LIST = f"""-- The places by journal_by_step, then each entry by primary key, so that no output is read in vain.
SELECT journal.seq, {ENTRY_COLUMNS.format(output="journal.output")} FROM journal
WHERE seq IN (SELECT seq FROM journal WHERE run_id = :run_id AND seq > :after) ORDER BY seq LIMIT :limit"""

ENTRIES_OUTPUT = """-- By primary key.
SELECT output FROM journal WHERE seq = ?"""


def decode(columns: list[Any]) -> JournalRow:
    """The entry of one row of `ENTRY_COLUMNS`, which is used up."""
    columns[_KIND] = _KINDS[columns[_KIND]]
    columns[_STATE] = _STATES[columns[_STATE]]
    if columns[_FAILURE] is not None:
        columns[_FAILURE] = failures.decode(columns[_FAILURE])
    event_ids = columns[_EVENT_IDS]
    columns[_EVENT_IDS] = () if event_ids is None else tuple(json.loads(event_ids))
    return JournalRow._make(columns)


def entries(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JournalRow]:
    """The recorded steps of these (run id, step key) pairs."""
    rows = ENTRIES_GET.fetch_packed(connection, [text for pair in keys for text in pair])
    return {(entry.run_id, entry.step_key): entry for entry in _unpack(connection, rows)}


def journals(connection: Connection, run_ids: Iterable[str], *, outputs: bool) -> dict[str, list[JournalRow]]:
    """The journals of these runs, each in the order of recording; with the outputs, or with `None` for each."""
    statement = JOURNALS_GET if outputs else JOURNALS_GET_BARE
    found: dict[str, list[JournalRow]] = {}
    for entry in _unpack(connection, statement.fetch_packed(connection, list(set(run_ids)))):
        found.setdefault(entry.run_id, []).append(entry)
    return found


def page(
    connection: Connection, run_id: str, *, after: int, limit: int, bytes_max: int
) -> list[tuple[int, JournalRow]]:
    """Entries of a run with their places, beyond the place `after`, up to `bytes_max` of outputs."""
    parameters = {"run_id": run_id, "after": after, "limit": limit}
    rows = fetch_until(connection, ENTRIES_LIST, parameters, blob=_OUTPUT + 1, bytes_max=bytes_max)
    return [(seq, decode(columns)) for seq, *columns in rows]


def insert(connection: Connection, rows: Sequence[JournalRow]) -> None:
    """Record new steps, in this order."""
    ENTRIES_INSERT.run(connection, _values(rows))


def update(connection: Connection, rows: Sequence[JournalRow]) -> None:
    """Store the new values of recorded steps."""
    ENTRIES_UPDATE.update(connection, _values(rows), newest=ENTRIES_NEWEST)


def _values(rows: Sequence[JournalRow]) -> list[Any]:
    values: list[Any] = []
    for (
        run_id,
        step_key,
        kind,
        state,
        attempts,
        output,
        output_encoding,
        failure,
        started_at,
        ended_at,
        due_at,
        event_ids,
        other_run_id,
        target,
    ) in rows:
        values += (
            run_id,
            step_key,
            int(kind),
            int(state),
            attempts,
            NULL_TEXT if output is None else bytearray(output),
            output_encoding,
            NULL_TEXT if failure is None else failures.encode(failure),
            started_at,
            NULL_MOMENT if ended_at is None else ended_at,
            NULL_MOMENT if due_at is None else due_at,
            json.dumps(event_ids) if event_ids else NULL_TEXT,
            other_run_id,
            target,
        )
    return values


def _unpack(connection: Connection, rows: list[list[Any]]) -> list[JournalRow]:
    """The entries, in the order of recording. Each row has its place in that order before the columns."""
    unpack_blobs(connection, rows, _OUTPUT + 1, ENTRIES_OUTPUT)
    rows.sort(key=_place)
    return [decode(row[1:]) for row in rows]


def _place(row: list[Any]) -> int:
    place: int = row[0]
    return place
