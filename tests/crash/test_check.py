"""The check finds what crashes could break: a healthy file is harmed, in one way at a time."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.check import check_file, check_log
from tests.crash.stage import Stage

PARENT = "(SELECT key FROM functions WHERE function_id = 'parent')"
OF_EVENT_0 = f"""(SELECT runs.id FROM runs JOIN events ON events.key = event_key
WHERE events.id = 'event-0' AND function_key = {PARENT})"""
CHILD = "(SELECT max(key) FROM events WHERE name = 'crash/child')"
FILE_HARMS = {
    "an event is lost": "DELETE FROM events WHERE id = 'event-0'",
    "an event is there twice": "UPDATE events SET id = 'event-0' WHERE id = 'event-1'",
    "an event nobody sent": "UPDATE events SET id = 'other' WHERE id = 'event-0'",
    "a child event is lost": f"DELETE FROM events WHERE key = {CHILD}",
    "a child of another run": f"UPDATE events SET source_run_id = {OF_EVENT_0} WHERE key = {CHILD}",
    "a child of another trace": f"UPDATE events SET traceparent = '00-0-0-01' WHERE key = {CHILD}",
    "a run is lost": f"DELETE FROM runs WHERE event_key = {CHILD}",
    "a run of a wrong function": f"UPDATE runs SET function_key = {PARENT} WHERE event_key = {CHILD}",
    "a run has not ended": f"UPDATE runs SET state = 1 WHERE event_key = {CHILD}",
    "an attempt is used up": f"UPDATE runs SET attempt = 1 WHERE event_key = {CHILD}",
    "a step is lost": f"DELETE FROM journal WHERE run_id = {OF_EVENT_0} AND step_key = 'last#0'",
    "a step is not done": f"UPDATE journal SET state = 1 WHERE run_id = {OF_EVENT_0}",
    "a step used up an attempt": f"UPDATE journal SET attempts = 2 WHERE run_id = {OF_EVENT_0}",
    "a timer is left": "INSERT INTO timers VALUES ('run', 1, '', 1)",
    "a lease is left": f"UPDATE runs SET session_id = 'session' WHERE event_key = {CHILD}",
    "a step began later": f"UPDATE journal SET ended_at = 1 WHERE run_id = {OF_EVENT_0}",
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server and a worker that nobody harmed leave behind."""
    stage = Stage(tmp_path_factory.mktemp("healthy"))
    try:
        stage.start_server()
        stage.start_worker()
        stage.send(2)
        stage.wait_for_end()
        stage.stop_server()
    finally:
        stage.close()
    return stage.folder


@pytest.fixture
def harmed(healthy: Path, tmp_path: Path) -> Path:
    """A copy of it, to be harmed."""
    for name in ("steplane.db", "notes"):
        shutil.copy(healthy / name, tmp_path / name)
    return tmp_path


def test_what_is_healthy_passes(harmed: Path) -> None:
    """Nothing is found where nothing is wrong."""
    _check(harmed)


@pytest.mark.parametrize("sql", FILE_HARMS.values(), ids=FILE_HARMS)
def test_a_harmed_file_is_found(sql: str, harmed: Path) -> None:
    """Each guarantee is looked at."""
    with closing(sqlite3.connect(harmed / "steplane.db", isolation_level=None)) as connection:
        assert connection.execute(sql).rowcount > 0

    with pytest.raises(AssertionError):
        _check(harmed)


def test_a_step_that_began_again_is_found(harmed: Path) -> None:
    """A step must not begin once its worker knows that it is recorded."""
    notes = harmed / "notes"
    lines = notes.read_text().splitlines()
    begin = next(line for line in lines if line.startswith("begin"))
    again = f"{begin.rpartition(' ')[0]} {2**60}"
    notes.write_text("\n".join([*lines, again, ""]))

    with pytest.raises(AssertionError, match="executed again after they were recorded"):
        _check(harmed)


def test_a_step_that_never_began_is_found(harmed: Path) -> None:
    """What is recorded as done was done."""
    notes = harmed / "notes"
    notes.write_text("".join(line for line in notes.read_text().splitlines(keepends=True) if " last " not in line))

    with pytest.raises(AssertionError):
        _check(harmed)


def test_a_run_that_ends_again_is_found(healthy: Path) -> None:
    """A run has one end, and nothing comes after it."""
    lines = (healthy / "server-0.log").read_text().splitlines()
    check_log(lines)
    end = next(line for line in lines if '"run_completed"' in line)

    with pytest.raises(AssertionError, match="a run went on after its end"):
        check_log([*lines, end])


def _check(folder: Path) -> None:
    check_file(folder / "steplane.db", folder / "notes", {"event-0", "event-1"})
