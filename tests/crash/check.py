"""What must hold of the file and of the workers' notes, whatever was killed: the guarantees, one by one."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from controlplane.core.states import RunState, StepState
from tests.crash.stage import CHILDREN, Stage

STEPS = {"crash/parent": ["fan-out", "fetch", "last", "nap"], "crash/child": ["one", "two"]}
"""The steps of the function that each event starts."""
NOTED = {"fetch", "last", "one", "two"}
"""The steps that have code; the others are the server's work."""


def check(stage: Stage) -> None:
    """Check all of it. The server must have been stopped."""
    check_file(stage.database, stage.notes, stage.acknowledged)
    assert set(stage.deaths) <= {-9}, f"servers ended by themselves, with {stage.deaths}"


def check_file(database: Path, notes: Path, acknowledged: set[str]) -> None:
    """Check what was left behind."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        assert [tuple(row) for row in connection.execute("PRAGMA integrity_check")] == [("ok",)]
        _check_events(connection, acknowledged)
        _check_runs(connection)
        _check_journal(connection)
        _check_nothing_is_left(connection)
        _check_notes(connection, notes)


def _check_events(connection: sqlite3.Connection, acknowledged: set[str]) -> None:
    """Guarantees 1 and 4: every acknowledged event is there once, and every child event exactly once."""
    events = connection.execute("SELECT id, name, source_run_id, source_step_key, traceparent FROM events").fetchall()
    sent = Counter(event["id"] for event in events if event["source_run_id"] is None)
    assert sent == Counter(acknowledged)
    parents = {run["id"]: run for run in _runs(connection) if run["name"] == "crash/parent"}
    children: dict[str, list[Any]] = {run_id: [] for run_id in parents}
    for event in events:
        if event["source_run_id"] is not None:
            assert (event["name"], event["source_step_key"]) == ("crash/child", "fan-out#0")
            children[event["source_run_id"]].append(event)
    recorded = {
        row["run_id"]: json.loads(row["event_ids"])
        for row in connection.execute("SELECT run_id, event_ids FROM journal WHERE step_key = 'fan-out#0'")
    }
    for run_id, run in parents.items():
        ids = [event["id"] for event in children[run_id]]
        assert len(ids) == len(set(ids)) == CHILDREN
        assert sorted(recorded[run_id]) == sorted(ids)
        assert {_trace(event) for event in children[run_id]} == {_trace(run)}


def _check_runs(connection: sqlite3.Connection) -> None:
    """Guarantees 2 and 6: each event has one run, and each run ended once, well, after some lease."""
    runs = _runs(connection)
    assert Counter(run["event_key"] for run in runs) == Counter(
        event["key"] for event in connection.execute("SELECT key FROM events")
    )
    for run in runs:
        assert run["state"] == RunState.COMPLETED
        assert run["epoch"] >= 1
        assert run["attempt"] == 0, "a crash used up an attempt"
        assert run["step_count"] == len(STEPS[run["name"]])
        assert run["created_at"] <= run["ended_at"]


def _check_journal(connection: sqlite3.Connection) -> None:
    """Guarantee 3: each step of each run is recorded once, as done."""
    steps: dict[str, list[str]] = {run["id"]: [] for run in _runs(connection)}
    for entry in connection.execute("SELECT run_id, step_key, state, attempts FROM journal"):
        assert entry["state"] == StepState.COMPLETED
        step = entry["step_key"].removesuffix("#0")
        steps[entry["run_id"]].append(step)
        # Only "two" ever fails; a crash is not an attempt.
        assert entry["attempts"] <= 1 or step == "two", "a crash used up an attempt of a step"
    for run in _runs(connection):
        assert sorted(steps[run["id"]]) == STEPS[run["name"]]


def _check_nothing_is_left(connection: sqlite3.Connection) -> None:
    """Guarantee 7: what has ended leaves no timer and no lease behind."""
    assert connection.execute("SELECT * FROM timers").fetchall() == []
    assert connection.execute("SELECT id FROM runs WHERE session_id IS NOT NULL").fetchall() == []


def _check_notes(connection: sqlite3.Connection, notes: Path) -> None:
    """Guarantee 3: no code of a step begins after the step was acknowledged, or after it was recorded."""
    recorded = {
        (row["run_id"], row["step_key"].removesuffix("#0")): row["ended_at"]
        for row in connection.execute("SELECT run_id, step_key, ended_at FROM journal")
    }
    begun: set[tuple[str, str]] = set()
    done: set[tuple[str, str]] = set()
    for line in notes.read_text().splitlines():
        what, run_id, step, _, moment = line.split()
        if what == "done":
            assert (run_id, step) in begun, f"done, but never begun: {line}"
            done.add((run_id, step))
        else:
            assert (run_id, step) not in done, f"executed again after its ack: {line}"
            assert int(moment) <= recorded[run_id, step], f"executed again after it was recorded: {line}"
            begun.add((run_id, step))
    assert begun == {(run_id, step) for run_id, step in recorded if step in NOTED}


def _runs(connection: sqlite3.Connection) -> list[Any]:
    sql = "SELECT runs.*, events.name FROM runs JOIN events ON events.key = runs.event_key"
    return connection.execute(sql).fetchall()


def _trace(row: sqlite3.Row) -> str:
    return str(row["traceparent"].split("-")[1])
