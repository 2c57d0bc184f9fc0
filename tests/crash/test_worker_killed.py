"""Workers are killed, frozen, and asked to stop, while their runs are under way."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.crash.check import check
from tests.crash.stage import SECONDS_MAX, Stage, wait_until

KILLS = 3


def test_workers_are_killed_at_random_moments(stage: Stage, chance: random.Random) -> None:
    """What a killed worker had is given to the next one; what it had reported is not done again."""
    stage.start_server()
    worker = stage.start_worker()
    with stage.load():
        for _ in range(KILLS):
            stage.wait_for_work(worker)
            time.sleep(chance.uniform(0, 0.3))
            worker.kill()
            worker = stage.start_worker()
    stage.wait_for_end()

    stage.stop_server()
    check(stage)


def test_a_frozen_worker_is_refused_when_it_comes_back(stage: Stage) -> None:
    """It sleeps past its lease; another one finishes its runs; what it then still reports changes nothing."""
    stage.start_server()
    frozen = stage.start_worker()
    with stage.load():
        stage.wait_for_work(frozen)
        _freeze_at_work(frozen, stage)
        stage.wait_for_leases()
    stage.start_worker()
    stage.wait_for_end()
    before = _contents(stage.database)

    frozen.send_signal(signal.SIGCONT)
    wait_until(lambda: stage.log_of(frozen).count("connected to Steplane at") > 1)

    assert "invocations were given to others" in stage.log_of(frozen)
    stage.stop_server()
    assert _contents(stage.database) == before
    check(stage, frozen=frozen.pid)


def test_a_worker_that_is_asked_to_stop_loses_nothing(stage: Stage) -> None:
    """SIGTERM lets it finish and hand back; no attempt is used up, and no recorded step runs again."""
    stage.start_server()
    leaving = stage.start_worker()
    with stage.load():
        stage.wait_for_work(leaving, steps=20)
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(SECONDS_MAX) == 0
    stage.start_worker()
    stage.wait_for_end()

    stage.stop_server()
    check(stage)


def test_server_and_worker_are_killed_together(stage: Stage) -> None:
    """Nothing of them is left but the file."""
    stage.start_server()
    worker = stage.start_worker()
    with stage.load():
        stage.wait_for_work(worker, steps=20)
        worker.kill()
        stage.kill_server()
    stage.start_worker()
    stage.wait_for_end()

    stage.stop_server()
    check(stage)


def _freeze_at_work(worker: subprocess.Popen[bytes], stage: Stage) -> None:
    """Stop it while it has something to report."""

    def try_to_freeze() -> bool:
        worker.send_signal(signal.SIGSTOP)
        if not stage.is_at_work(worker):
            worker.send_signal(signal.SIGCONT)
            return False
        return True

    wait_until(try_to_freeze)


def _contents(database: Path) -> dict[str, list[Any]]:
    """All that reports can change."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("events", "runs", "journal", "timers")
        }
