"""What must hold of the file and of the workers' notes, whatever was killed: the guarantees, one by one."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from controlplane.core.states import RunState, StepState
from tests.crash.stage import CHILDREN, Stage


def check(stage: Stage) -> None:
    """Check all of it. The server must have been stopped."""
    with sqlite3.connect(stage.database) as connection:
        connection.row_factory = sqlite3.Row
        _check_events(connection, stage.acknowledged)
        _check_runs(connection)
        _check_journal(connection)
        _check_nothing_is_left(connection)
        _check_notes(connection, stage.notes)


def _rows(connection: sqlite3.Connection, sql: str) -> list[Any]:
    return connection.execute(sql).fetchall()


def _check_events(connection: sqlite3.Connection, acknowledged: set[str]) -> None:
    """Guarantees 1 and 4: every acknowledged event is there once, and every child event exactly once."""
    ids = [row["id"] for row in _rows(connection, "SELECT id FROM events WHERE name = 'crash/parent'")]
    assert len(ids) == len(set(ids))
    assert acknowledged <= set(ids)
    children = defaultdict(list)
    for row in _rows(connection, "SELECT id, source_run_id FROM events WHERE name = 'crash/child'"):
        children[row["source_run_id"]].append(row["id"])
    parents = [row["id"] for row in _rows(connection, _RUNS_OF.format("crash/parent"))]
    assert set(children) == set(parents)
    assert {len(set(sent)) for sent in children.values()} == {CHILDREN}
    assert {len(sent) for sent in children.values()} == {CHILDREN}


_RUNS_OF = """SELECT runs.id, runs.event_key FROM runs JOIN events ON events.key = runs.event_key
WHERE events.name = '{}'"""


def _check_runs(connection: sqlite3.Connection) -> None:
    """Guarantees 2 and 6: each event has one run, and each run ended once, well, after some lease."""
    (events,) = _rows(connection, "SELECT count(*) AS n FROM events")
    runs = _rows(connection, "SELECT event_key, state, epoch, attempt, step_count FROM runs")
    assert len(runs) == events["n"]
    assert len({row["event_key"] for row in runs}) == len(runs)
    assert {row["state"] for row in runs} == {RunState.COMPLETED}
    assert all(row["epoch"] >= 1 for row in runs)
    assert {row["attempt"] for row in runs} == {0}, "a crash used up an attempt"
    assert {row["step_count"] for row in runs} == {2, 4}


def _check_journal(connection: sqlite3.Connection) -> None:
    """Guarantee 3: each step is recorded once, and done."""
    rows = _rows(connection, "SELECT run_id, step_key, state FROM journal")
    assert len({(row["run_id"], row["step_key"]) for row in rows}) == len(rows)
    assert {row["state"] for row in rows} == {StepState.COMPLETED}
    (counted,) = _rows(connection, "SELECT sum(step_count) AS n FROM runs")
    assert counted["n"] == len(rows)


def _check_nothing_is_left(connection: sqlite3.Connection) -> None:
    """Guarantee 7: what has ended leaves no timer and no lease behind."""
    assert _rows(connection, "SELECT * FROM timers") == []
    assert _rows(connection, "SELECT id FROM runs WHERE session_id IS NOT NULL") == []


def _check_notes(connection: sqlite3.Connection, notes: Path) -> None:
    """Guarantee 3: no code of a step begins after the step was acknowledged, or after it was recorded."""
    recorded = {
        (row["run_id"], row["step_key"].rpartition("#")[0]): row["ended_at"]
        for row in _rows(connection, "SELECT run_id, step_key, ended_at FROM journal")
    }
    done: set[tuple[str, str]] = set()
    for line in notes.read_text().splitlines():
        what, run_id, step, _, moment = line.split()
        if what == "done":
            done.add((run_id, step))
        else:
            assert (run_id, step) not in done, f"executed again after its ack: {line}"
            assert int(moment) <= recorded[run_id, step], f"executed again after it was recorded: {line}"
    assert done <= recorded.keys()
