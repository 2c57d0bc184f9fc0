"""The server is killed with SIGKILL at named points and at random moments, under load, and started again."""

from __future__ import annotations

import random
import threading
import time

import pytest

from tests.crash.check import check
from tests.crash.conftest import ROUNDS
from tests.crash.stage import Stage


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_release"])
@pytest.mark.parametrize("times", [40] if ROUNDS == 1 else [20, 40, 80])
def test_the_server_is_killed_at(point: str, times: int, stage: Stage) -> None:
    """Whether or not it was on disk, whether or not anybody was told: nothing is lost, and nothing is done twice."""
    stage.stop_server()
    killed = stage.start_server(f"{point}:{times}")
    stage.start_worker()

    stage.send(60, restart=stage.start_server)
    stage.wait_for_end(restart=stage.start_server)

    assert killed.wait(1) == -9, "it was to die at the failpoint"
    stage.stop_server()
    check(stage)


def test_the_server_is_killed_at_random_moments(stage: Stage, chance: random.Random) -> None:
    """Again and again, while events come in and runs are under way."""
    stage.start_worker()
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.wait(chance.uniform(0.1, 0.7)):
            stage.server.kill()
            stage.server.wait()
            stage.start_server()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for _ in range(4):
            stage.send(20)
            time.sleep(chance.uniform(0, 0.2))
    finally:
        is_over.set()
        killer.join()
    stage.wait_for_end()
    stage.stop_server()
    check(stage)
