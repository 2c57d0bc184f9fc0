"""The network between worker and server breaks, in the ways that networks do."""

from __future__ import annotations

import random
import time

from tests.crash.check import check
from tests.crash.proxy import Proxy
from tests.crash.stage import SECONDS_MAX, Stage, wait_until

CUTS = 4


def test_the_connection_is_cut_again_and_again(stage: Stage, proxy: Proxy, chance: random.Random) -> None:
    """A slow line, so that reports and acks are lost: the worker comes back, keeps what it holds, and sends them again."""
    proxy.delay(chance.uniform(0, 0.01))
    stage.start_server()
    worker = stage.start_worker(proxy.port)
    with stage.load(seconds_between=0.3):
        stage.wait_for_work(worker)
        for _ in range(CUTS):
            before = proxy.connections
            time.sleep(chance.uniform(0, 0.3))
            proxy.cut()
            wait_until(lambda: proxy.connections > before)  # noqa: B023 it is called in this round only
    stage.wait_for_end()

    stage.stop_server()
    check(stage)


def test_a_silent_network_is_noticed(stage: Stage, proxy: Proxy, chance: random.Random) -> None:
    """Nothing passes one way or both for longer than the session's time: another takes over, and the worker comes back."""
    to_server, to_client = chance.choice([(True, True), (True, False), (False, True)])
    stage.start_server()
    cut_off = stage.start_worker(proxy.port)
    with stage.load():
        stage.wait_for_work(cut_off)
        proxy.blackhole(to_server=to_server, to_client=to_client)
        stage.wait_for_leases()
    stage.start_worker()
    stage.wait_for_end()
    proxy.heal()
    wait_until(lambda: stage.log_of(cut_off).count("connected to Steplane at") > 1)

    cut_off.terminate()
    assert cut_off.wait(SECONDS_MAX) == 0
    stage.stop_server()
    check(stage)
