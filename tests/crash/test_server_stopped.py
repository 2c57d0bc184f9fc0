"""The server is asked to stop while events come in and runs are under way, as at every deployment."""

from __future__ import annotations

import random
import time

from tests.crash.check import check
from tests.crash.stage import Stage

STOPS = 2


def test_a_server_that_is_asked_to_stop_loses_nothing(stage: Stage, chance: random.Random) -> None:
    """It ends well within its time, though work never ends; the worker waits for the next one, and goes on with it."""
    stage.start_server()
    worker = stage.start_worker()
    with stage.load():
        stage.wait_for_work(worker)
        for _ in range(STOPS):
            time.sleep(chance.uniform(0, 0.3))
            stage.stop_server()
            stage.start_server()
            stage.wait_ready()
    stage.wait_for_end()

    stage.stop_server()
    check(stage)
    assert worker.poll() is None
