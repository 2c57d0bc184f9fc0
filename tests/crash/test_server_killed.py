"""The server is killed with SIGKILL at named points and at random moments, under load, and started again."""

from __future__ import annotations

import random
import time

import pytest

from tests.crash.check import check
from tests.crash.stage import Stage, wait_until

KILLS = 4


@pytest.mark.parametrize("point", ["before_commit", "after_commit", "after_release"])
def test_the_server_is_killed_at(point: str, stage: Stage, chance: random.Random) -> None:
    """Whether or not it was on disk, whether or not anybody was told: nothing is lost, and nothing is done twice."""
    stage.start_server(f"{point}:{chance.randrange(1, 100)}")
    stage.start_worker()

    with stage.load():
        wait_until(lambda: len(stage.deaths) == 1)
    stage.wait_for_end()

    stage.stop_server()
    check(stage)


def test_the_server_is_killed_at_random_moments(stage: Stage, chance: random.Random) -> None:
    """Again and again, while events come in and runs are under way, and also while it starts."""
    stage.start_server()
    stage.start_worker()

    with stage.load():
        for kill in range(1, KILLS + 1):
            if kill < KILLS:
                stage.wait_ready()
            time.sleep(chance.uniform(0, 0.5))
            stage.kill_server()
            wait_until(lambda: len(stage.deaths) == kill)  # noqa: B023 it is called in this round only
    stage.wait_for_end()

    stage.stop_server()
    check(stage)
