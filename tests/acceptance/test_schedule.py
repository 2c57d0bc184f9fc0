"""A schedule and the real clock: what a downtime swallows, and what it does not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.place import Place, wait_until

HOURLY = "hourly-report"
POINTS = ["before_commit:1", "before_commit:2", "after_commit:1", "after_release:1"]
"""Where the server is killed that is to fire the tick; it may do something else first."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place of its own for each test: its server is stopped and killed."""
    return Place(tmp_path)


def test_a_tick_of_a_downtime_comes_once(place: Place) -> None:
    """The server was down for hours: one tick comes, the latest that was missed, though the server is killed as it fires it."""
    try:
        place.start_server()
        program = place.start_program("hourly_report.py")
        program.terminate()
        assert program.wait(10) == 0
        assert place.steplane("events") == []
        place.stop_server()
        _go_back(place.database, timedelta(hours=3))

        before = datetime.now(UTC)  # noqa: TID251 the server reads the real clock too
        for point in POINTS:
            place.start_doomed_server(point)
        place.start_server()
        wait_until(lambda: place.steplane("runs") != [])
        after = datetime.now(UTC)  # noqa: TID251 the same

        (event,) = place.steplane("events")
        assert (event["name"], event["data"]["cron"]) == ("steplane/schedule.fired", "0 * * * *")
        tick = datetime.fromisoformat(event["data"]["tick"])
        assert tick in {moment.replace(minute=0, second=0, microsecond=0) for moment in (before, after)}
        (run,) = place.steplane("runs")
        assert (run["function_id"], run["event_id"]) == (HOURLY, event["id"])
        (due_at,) = _ticks(place.database)
        assert due_at == tick + timedelta(hours=1)
    finally:
        place.close()


def _go_back(database: Path, duration: timedelta) -> None:
    """Let the next tick be of so long ago, as if the server had been down since."""
    with closing(sqlite3.connect(database)) as connection, connection:
        microseconds = duration // timedelta(microseconds=1)
        assert connection.execute("UPDATE timers SET due_at = due_at - ?", [microseconds]).rowcount == 1


def _ticks(database: Path) -> list[datetime]:
    """When schedules are to fire next."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT due_at FROM timers").fetchall()
    return [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=due_at) for (due_at,) in found]
