"""The network between worker and server breaks, in the ways that networks do."""

from __future__ import annotations

import random
import time

from tests.crash.check import check
from tests.crash.proxy import Proxy
from tests.crash.stage import Stage


def test_the_connection_is_cut_again_and_again(stage: Stage, chance: random.Random) -> None:
    """The worker comes back, keeps what it holds, and sends again what was not acknowledged."""
    proxy = Proxy(stage.port)
    stage.start_worker(proxy.port)
    for _ in range(5):
        stage.send(20)
        time.sleep(chance.uniform(0, 0.3))
        proxy.cut()
    stage.wait_for_end()
    stage.stop_server()
    proxy.close()
    check(stage)


def test_a_silent_network_is_noticed_by_both_sides(stage: Stage) -> None:
    """Nothing passes for longer than the session's time: others take over, and the worker connects anew."""
    proxy = Proxy(stage.port)
    cut_off = stage.start_worker(proxy.port)
    stage.send(30)
    stage.wait_for_worker()
    proxy.blackhole()
    stage.send(30)
    stage.start_worker()
    stage.wait_for_end()
    proxy.heal()
    cut_off.terminate()

    assert cut_off.wait(40) == 0

    stage.stop_server()
    proxy.close()
    check(stage)
