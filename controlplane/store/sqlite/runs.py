"""Runs: insert, look up, update, and claim those that are ready."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from controlplane.core.records import RunRow
from controlplane.core.states import RunState
from controlplane.store.sqlite import extras, failures
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.live_runs import LiveRuns
from controlplane.store.sqlite.statement import (
    MOMENT_OR_NULL,
    NULL_MOMENT,
    NULL_TEXT,
    TEXT_OR_NULL,
    Many,
    fetch_packed,
    packed,
    packed_blob,
    unpack_blobs,
)

_STATE = RunRow._fields.index("state")
_DELIVERIES = RunRow._fields.index("deliveries")
_SESSION_ID = RunRow._fields.index("session_id")
_QUEUED_AT = RunRow._fields.index("queued_at")
_STEP_COUNT = RunRow._fields.index("step_count")
_HAS_TIMERS = RunRow._fields.index("has_timers")
_OUTPUT = RunRow._fields.index("output")
_FAILURE = RunRow._fields.index("failure")
_LANE = RunRow._fields.index("lane")
_EXTRA = RunRow._fields.index("extra")
_STATES: Final = (None, *RunState)

RUN_COLUMNS = """
  runs.id, runs.namespace, runs.function_key, runs.event_key, runs.created_at, runs.traceparent, runs.tracestate,
  runs.state, runs.epoch, runs.attempt, runs.deliveries, runs.session_id, runs.queued_at, runs.due_at, runs.started_at,
  runs.ended_at, runs.step_count, runs.journal_bytes, runs.has_timers, {output}, runs.output_encoding, runs.failure,
  runs.lane, runs.depth, runs.extra
"""
_PACKED = packed(RUN_COLUMNS.format(output=packed_blob("runs.output", "runs.key")))

#: What the columns from `state` to `failure` are in a new run, but for `queued_at`.
_NEW_HEAD: Final = (RunState.QUEUED, 0, 0, 0, None)
_NEW_TAIL: Final = (None, None, None, 0, 0, False, None, "", None)

RUNS_INSERT = Many(
    """-- Appends to the table, to runs_by_id, runs_by_event and runs_queued.
    INSERT INTO runs (id, namespace, function_key, event_key, created_at, traceparent, tracestate, queued_at, lane, depth,
                      extra, state, epoch, attempt, deliveries, step_count, journal_bytes, has_timers, output_encoding)
    VALUES {rows}""",
    f"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {TEXT_OR_NULL}, {RunState.QUEUED:d}, 0, 0, 0, 0, 0, 0, '')",
)

_CHANGING = (
    "state, epoch, attempt, deliveries, session_id, queued_at, due_at, started_at, ended_at, step_count, "
    "journal_bytes, has_timers, output, output_encoding, failure, lane"
)
_CHANGING_VALUES = (
    f"?, ?, ?, ?, {TEXT_OR_NULL}, ?, {MOMENT_OR_NULL}, {MOMENT_OR_NULL}, {MOMENT_OR_NULL}, ?, ?, ?, {TEXT_OR_NULL}, ?, "
    f"{TEXT_OR_NULL}, ?"
)
_PROGRESS = "deliveries, step_count, journal_bytes, has_timers"


def _set(columns: str) -> str:
    return ", ".join(f"{column} = excluded.{column}" for column in columns.split(", "))


RUNS_INSERT_ANY = Many(
    f"""-- As RUNS_INSERT, but in any state.
    INSERT INTO runs (id, namespace, function_key, event_key, created_at, traceparent, tracestate, {_CHANGING},
                      depth, extra)
    VALUES {{rows}}""",
    f"(?, ?, ?, ?, ?, ?, ?, {_CHANGING_VALUES}, ?, {TEXT_OR_NULL})",
)

RUNS_UPDATE = Many(
    f"""-- By runs_by_id. An UPDATE with a list of rows would first copy it to a table of its own.
    INSERT INTO runs (id, {_CHANGING}) VALUES {{rows}} ON CONFLICT (id) DO UPDATE SET {_set(_CHANGING)}""",
    f"(?, {_CHANGING_VALUES})",
)

RUNS_UPDATE_PROGRESS = Many(
    f"""-- By runs_by_id. Touches no column of another index, and so no other index.
    INSERT INTO runs (id, {_PROGRESS}) VALUES {{rows}} ON CONFLICT (id) DO UPDATE SET {_set(_PROGRESS)}""",
    "(?, ?, ?, ?, ?)",
)

RUNS_NEWEST = """-- The last of the primary key.
SELECT max(key) FROM runs"""

RUNS_GET = Many(
    f"""-- By runs_by_id.
    SELECT {_PACKED} FROM (VALUES {{rows}}) AS wanted CROSS JOIN runs ON runs.id = wanted.column1""",
    "(?)",
)

RUNS_OF_SESSIONS = Many(
    f"""-- By runs_leased.
    SELECT {_PACKED} FROM (VALUES {{rows}}) AS wanted CROSS JOIN runs ON runs.session_id = wanted.column1
    WHERE runs.state = {RunState.RUNNING:d}""",
    "(?)",
)

RUNS_OUTPUT = """-- By primary key.
SELECT output FROM runs WHERE key = ?"""

RUNS_FUNCTIONS_READY = f"""-- Jumps from function to function in runs_queued.
WITH RECURSIVE ready (function_key) AS (
  SELECT min(function_key) FROM runs WHERE state = {RunState.QUEUED:d}
  UNION ALL
  SELECT (SELECT min(function_key) FROM runs
          WHERE state = {RunState.QUEUED:d} AND runs.function_key > ready.function_key)
  FROM ready WHERE ready.function_key IS NOT NULL
)
SELECT {packed("function_key")} FROM ready WHERE function_key IS NOT NULL"""

RUNS_LANES_READY = f"""-- Jumps from lane to lane in runs_queued.
WITH RECURSIVE ready (lane) AS (
  SELECT min(lane) FROM runs WHERE state = {RunState.QUEUED:d} AND function_key = :function_key
  UNION ALL
  SELECT (SELECT min(lane) FROM runs
          WHERE state = {RunState.QUEUED:d} AND function_key = :function_key AND runs.lane > ready.lane)
  FROM ready WHERE ready.lane IS NOT NULL
)
SELECT {packed("lane")} FROM ready WHERE lane IS NOT NULL"""

RUNS_CLAIM_READY = f"""-- In the order of runs_queued, and from it alone.
SELECT {packed("queued_at, id")} FROM (
  SELECT queued_at, id FROM runs WHERE state = {RunState.QUEUED:d} AND function_key = ? AND lane = ?
  ORDER BY queued_at, id LIMIT ?
)"""

RUNS_CLAIM_LANES = f"""-- For each lane in the order of runs_queued, and by primary key.
SELECT {packed("wanted.key, runs.queued_at, runs.id")}
FROM json_each(?) AS wanted CROSS JOIN runs ON runs.key IN (
  SELECT queued.key FROM runs AS queued
  WHERE queued.state = {RunState.QUEUED:d}
    AND queued.function_key = wanted.value ->> 0 AND queued.lane = wanted.value ->> 1
  ORDER BY queued.queued_at, queued.id LIMIT ?
)"""

RUNS_IN_FLOW = f"""-- By runs_in_flow.
SELECT {_PACKED} FROM runs INDEXED BY runs_in_flow
WHERE extra IS NOT NULL AND ended_at IS NULL AND started_at IS NOT NULL"""

RUN_EVENTS_INSERT = Many(
    """-- By primary key.
    INSERT INTO run_events (event_key, run_id, position) VALUES {rows}""",
    "(?, ?, ?)",
)


def decode(columns: list[Any]) -> RunRow:
    """The run of one row of `RUN_COLUMNS`, which is used up."""
    columns[_STATE] = _STATES[columns[_STATE]]
    columns[_HAS_TIMERS] = columns[_HAS_TIMERS] == 1
    if columns[_FAILURE] is not None:
        columns[_FAILURE] = failures.decode(columns[_FAILURE])
    if columns[_EXTRA] is not None:
        columns[_EXTRA] = extras.decode(columns[_EXTRA])
    return RunRow._make(columns)


def get(connection: Connection, live: LiveRuns, ids: Iterable[str]) -> dict[str, RunRow]:
    """These runs, by id."""
    found: dict[str, RunRow] = {}
    missing: list[str] = []
    for id_ in ids:
        run = live.get(id_)
        if run is None:
            missing.append(id_)
        else:
            found[id_] = run
    if missing:
        runs = _unpack(connection, RUNS_GET.fetch_packed(connection, missing))
        live.put(runs)
        found.update((run.id, run) for run in runs)
    return found


def of_sessions(connection: Connection, session_ids: Iterable[str]) -> list[RunRow]:
    """The RUNNING runs that these sessions hold."""
    return _unpack(connection, RUNS_OF_SESSIONS.fetch_packed(connection, list(session_ids)))


def lanes_ready(connection: Connection) -> list[tuple[int, int]]:
    """The (function key, lane) pairs that have QUEUED runs, in order."""
    return [
        (function_key, lane)
        for (function_key,) in sorted(fetch_packed(connection, RUNS_FUNCTIONS_READY))
        for (lane,) in sorted(fetch_packed(connection, RUNS_LANES_READY, {"function_key": function_key}))
    ]


def claim_ready(connection: Connection, live: LiveRuns, lanes: Sequence[tuple[int, int]], limit: int) -> list[RunRow]:
    """The oldest QUEUED runs of each of these lanes."""
    if len(lanes) == 1:
        claimed = fetch_packed(connection, RUNS_CLAIM_READY, (*lanes[0], limit))
    else:
        claimed = fetch_packed(connection, RUNS_CLAIM_LANES, (json.dumps(lanes), limit))
    claimed.sort()
    run_ids = [row[-1] for row in claimed]
    found = get(connection, live, run_ids)
    return [found[run_id] for run_id in run_ids]


def in_flow(connection: Connection) -> list[RunRow]:
    """The runs with slots that are RUNNING, or have started and not ended."""
    runs = _unpack(connection, fetch_packed(connection, RUNS_IN_FLOW))
    return [run for run in runs if run.extra is not None and run.extra.slots]


def insert(connection: Connection, live: LiveRuns, rows: Sequence[RunRow]) -> None:
    """Store new runs."""
    new: list[Any] = []
    other: list[Any] = []
    batched: list[Any] = []
    for row in rows:
        extra = row.extra
        packed_extra = NULL_TEXT if extra is None else extras.encode(extra)
        if row[_STATE:_QUEUED_AT] == _NEW_HEAD and row[_QUEUED_AT + 1 : _LANE] == _NEW_TAIL:
            new += row[:_STATE]
            new += (row.queued_at, row.lane, row.depth, packed_extra)
        else:
            other += row[:_STATE]
            other += _changing_values(row)
            other += (row.depth, packed_extra)
        if extra is not None and extra.more_events:
            for position, event_key in enumerate(extra.more_events, 1):
                batched += (event_key, row.id, position)
    RUNS_INSERT.run(connection, new)
    RUNS_INSERT_ANY.run(connection, other)
    RUN_EVENTS_INSERT.run(connection, batched)
    live.put(rows)


def update(connection: Connection, live: LiveRuns, rows: Iterable[RunRow]) -> None:
    """Store the runs' new values."""
    rows = list(rows)
    progress: list[Any] = []
    other: list[Any] = []
    for row in rows:
        before = live.get(row.id)
        if before is not None and _is_progress(before, row):
            progress += (row.id, row.deliveries, row.step_count, row.journal_bytes, int(row.has_timers))
        else:
            other.append(row.id)
            other += _changing_values(row)
    if progress:
        RUNS_UPDATE_PROGRESS.update(connection, progress, newest=RUNS_NEWEST)
    if other:
        RUNS_UPDATE.update(connection, other, newest=RUNS_NEWEST)
    live.put(rows)


def _is_progress(before: RunRow, row: RunRow) -> bool:
    """Whether nothing changed but what `RUNS_UPDATE_PROGRESS` writes."""
    return (
        row[_SESSION_ID:_STEP_COUNT] == before[_SESSION_ID:_STEP_COUNT]
        and row[_STATE:_DELIVERIES] == before[_STATE:_DELIVERIES]
        and row[_OUTPUT:] == before[_OUTPUT:]
    )


def _changing_values(row: RunRow) -> tuple[Any, ...]:
    """The values for `_CHANGING`."""
    (
        *_,
        state,
        epoch,
        attempt,
        deliveries,
        session_id,
        queued_at,
        due_at,
        started_at,
        ended_at,
        step_count,
        journal_bytes,
        has_timers,
        output,
        output_encoding,
        failure,
        lane,
        _depth,
        _extra,
    ) = row
    return (
        int(state),
        epoch,
        attempt,
        deliveries,
        NULL_TEXT if session_id is None else session_id,
        queued_at,
        NULL_MOMENT if due_at is None else due_at,
        NULL_MOMENT if started_at is None else started_at,
        NULL_MOMENT if ended_at is None else ended_at,
        step_count,
        journal_bytes,
        int(has_timers),
        NULL_TEXT if output is None else bytearray(output),
        output_encoding,
        NULL_TEXT if failure is None else failures.encode(failure),
        lane,
    )


def _unpack(connection: Connection, rows: list[list[Any]]) -> list[RunRow]:
    unpack_blobs(connection, rows, _OUTPUT, RUNS_OUTPUT)
    return [decode(row) for row in rows]
