"""Workers are killed, frozen, and asked to stop, while their runs are under way."""

from __future__ import annotations

import random
import signal
import threading
import time

from tests.crash.check import check
from tests.crash.stage import Stage, wait_until


def test_workers_are_killed_at_random_moments(stage: Stage, chance: random.Random) -> None:
    """What a killed worker had is given to the next one; what it had reported is not done again."""
    for _ in range(3):
        worker = stage.start_worker()
        stage.send(20)
        stage.wait_for_worker()
        time.sleep(chance.uniform(0, 0.3))
        worker.kill()
    stage.start_worker()
    stage.wait_for_end()
    stage.stop_server()
    check(stage)


def test_a_frozen_worker_is_refused_when_it_comes_back(stage: Stage) -> None:
    """It sleeps past its lease; another one finishes its runs; what it then still reports changes nothing."""
    frozen = stage.start_worker()
    sender = threading.Thread(target=stage.send, args=(100,))
    sender.start()
    stage.wait_for_worker()
    frozen.send_signal(signal.SIGSTOP)
    sender.join()
    stage.start_worker()
    stage.wait_for_end()
    frozen.send_signal(signal.SIGCONT)

    wait_until(lambda: stage.log_of(frozen).count("INFO connected to") == 2)

    assert "were given to others" in stage.log_of(frozen)
    stage.stop_server()
    check(stage)


def test_a_worker_that_is_asked_to_stop_loses_nothing(stage: Stage) -> None:
    """SIGTERM lets it finish and hand back; no attempt is used up, and no recorded step runs again."""
    leaving = stage.start_worker()
    stage.send(50)
    stage.wait_for_worker()
    leaving.send_signal(signal.SIGTERM)

    assert leaving.wait(40) == 0

    stage.start_worker()
    stage.wait_for_end()
    stage.stop_server()
    check(stage)


def test_server_and_worker_are_killed_together(stage: Stage) -> None:
    """Nothing of them is left but the file."""
    worker = stage.start_worker()
    stage.send(50)
    stage.wait_for_worker()
    worker.kill()
    stage.server.kill()
    stage.server.wait()
    stage.start_server()
    stage.start_worker()
    stage.wait_for_end()
    stage.stop_server()
    check(stage)
