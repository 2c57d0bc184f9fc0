"""What must hold of the file and of the workers' notes, whatever was killed: the guarantees, one by one."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from controlplane.core.states import RunState, StepState
from tests.crash.stage import CHILDREN, Stage

FUNCTIONS = {"crash/parent": ["audit", "parent"], "crash/child": ["child"]}
"""The functions that each event starts."""
STEPS = {"parent": ["fan-out", "fetch", "last", "nap"], "audit": ["left", "right"], "child": ["one", "two"]}
"""The steps of each function."""
NOTED = {"fetch", "last", "left", "one", "right", "two"}
"""The steps that have code; the others are the server's work."""
FROZEN_AT_BEGIN_MAX = 2
"""A process that is frozen after it looked whether it may begin a step, and before it does, begins it when it is woken.

Nothing can prevent that. The moment is short, but many threads begin steps; without the look it would be one step a slot.
"""


def check(stage: Stage, *, frozen: int | None = None) -> None:
    """Check all of it. The server must have been stopped. `frozen` is the id of a process that was, for long."""
    check_file(stage.database, stage.notes, stage.acknowledged, frozen=frozen)
    check_log(stage.logs_of_servers())
    assert set(stage.deaths) <= {-9}, f"servers ended by themselves, with {stage.deaths}"


def check_file(database: Path, notes: Path, acknowledged: set[str], *, frozen: int | None = None) -> None:
    """Check what was left behind."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        assert [tuple(row) for row in connection.execute("PRAGMA integrity_check")] == [("ok",)]
        _check_events(connection, acknowledged)
        _check_runs(connection)
        _check_journal(connection)
        _check_nothing_is_left(connection)
        _check_notes(connection, notes, frozen)


def check_log(lines: Iterable[str]) -> None:
    """Check that each run ended once: the server said so once, and nothing of the run after that."""
    ended = set()
    for line in lines:
        told = json.loads(line)
        if told["event"].startswith("run_"):
            assert told["run_id"] not in ended, f"a run went on after its end: {line}"
            if told["event"] == "run_completed":
                ended.add(told["run_id"])
    assert ended, "the log tells nothing of runs"


def _check_events(connection: sqlite3.Connection, acknowledged: set[str]) -> None:
    """Guarantees 1 and 4: every acknowledged event is there once, and every child event exactly once."""
    events = connection.execute("SELECT id, name, source_run_id, source_step_key, traceparent FROM events").fetchall()
    sent = Counter(event["id"] for event in events if event["source_run_id"] is None)
    assert sent == Counter(acknowledged)
    parents = {run["id"]: run for run in _runs(connection) if run["function_id"] == "parent"}
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
    """Guarantees 2 and 6: each event has one run of each function that it matches, and each run ended well, after a lease."""
    runs = _runs(connection)
    assert Counter((run["event_key"], run["function_id"]) for run in runs) == Counter(
        (event["key"], function_id)
        for event in connection.execute("SELECT key, name FROM events")
        for function_id in FUNCTIONS[event["name"]]
    )
    for run in runs:
        assert run["state"] == RunState.COMPLETED
        assert run["epoch"] >= 1
        assert run["attempt"] == 0, "a crash used up an attempt"
        assert run["step_count"] == len(STEPS[run["function_id"]])
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
        assert sorted(steps[run["id"]]) == STEPS[run["function_id"]]


def _check_nothing_is_left(connection: sqlite3.Connection) -> None:
    """Guarantee 7: what has ended leaves no timer and no lease behind."""
    assert connection.execute("SELECT * FROM timers").fetchall() == []
    assert connection.execute("SELECT id FROM runs WHERE session_id IS NOT NULL").fetchall() == []


def _check_notes(connection: sqlite3.Connection, notes: Path, frozen: int | None) -> None:
    """Guarantee 3: no code of a step begins after the step was acknowledged, or after it was recorded."""
    recorded = {
        (row["run_id"], row["step_key"].removesuffix("#0")): row["ended_at"]
        for row in connection.execute("SELECT run_id, step_key, ended_at FROM journal")
    }
    begun: set[tuple[str, str]] = set()
    done: set[tuple[str, str]] = set()
    again = []
    # In the order of their moments: a process may be frozen between its look at the clock and its write.
    for moment, what, key, process in sorted(_notes(notes)):
        if what == "done":
            assert key in begun, f"done, but never begun: {key}"
            done.add(key)
        elif key in done or moment > recorded[key]:
            again.append((process, *key))
        else:
            begun.add(key)
    assert [step for step in again if step[0] != frozen] == [], "executed again after they were recorded"
    assert len(again) <= FROZEN_AT_BEGIN_MAX, f"executed again after they were recorded: {again}"
    assert begun == {key for key in recorded if key[1] in NOTED}


def _notes(notes: Path) -> Iterator[tuple[int, str, tuple[str, str], int]]:
    for line in notes.read_text().splitlines():
        what, run_id, step, process, moment = line.split()
        yield int(moment), what, (run_id, step), int(process)


def _runs(connection: sqlite3.Connection) -> list[Any]:
    sql = "SELECT runs.*, function_id FROM runs JOIN functions ON functions.key = runs.function_key"
    return connection.execute(sql).fetchall()


def _trace(row: sqlite3.Row) -> str:
    return str(row["traceparent"].split("-")[1])
