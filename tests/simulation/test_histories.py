"""Random histories of events, reports, losses, crashes and jumps of the clock, against the promises.

`SIMULATIONS=200 pytest tests/simulation` does more of them; `SEED=…` begins with that one.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import Any

import pytest

from controlplane.core.limits import MINUTE, SECOND
from controlplane.core.states import ENDED, RunState, StepState
from controlplane.store.interface import RunFilter
from controlplane.store.sqlite.open import SqliteStore
from tests.simulation.poller import SimPoller
from tests.simulation.world import CHILDREN, World
from tests.transcripts.driver import lanes_of

ROUNDS = int(os.environ.get("SIMULATIONS", "3"))
SEED = int(os.environ.get("SEED", "1"))
HAPPENINGS = 250


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_every_promise_is_kept(seed: int) -> None:
    """Whatever happens in whatever order: nothing is lost, nothing is done twice, and in the end everything has ended."""
    store = SqliteStore.open(":memory:")
    try:
        world = World(store, seed)
        poller = SimPoller("p1", world.rng)
        epochs: dict[str, int] = {}
        for _ in range(HAPPENINGS):
            _let_something_happen(world, poller)
            _check_now(world, epochs)
        _come_to_rest(world, poller)
        _check_the_end(world)
    finally:
        store.close()


def _let_something_happen(world: World, poller: SimPoller) -> None:
    worker = world.rng.choice([*world.workers, poller])
    if isinstance(worker, SimPoller):
        poller.happen(world)
        return
    if not worker.session_id:
        world.connect(worker)
        return
    match world.rng.choices(range(7), weights=(20, 60, 10, 3, 2, 1, 8))[0]:
        case 0:
            world.send()
        case 1:
            world.work(worker)
        case 2:
            world.heartbeat(worker)
        case 3:
            world.break_stream(worker)
        case 4:
            world.restart()
            poller.close()
        case 5:
            world.cancel()
        case _:
            world.pass_time(world.rng.choice((SECOND, 10 * SECOND, MINUTE)))


def _views(world: World) -> list[Any]:
    with world.store.read() as reader:
        return reader.list_runs(RunFilter("default"), before_id="", limit=10_000)


def _check_now(world: World, epochs: dict[str, int]) -> None:
    with world.store.begin() as tx:
        sessions = {row.id for row in tx.sessions()}
        ready = tx.lanes_ready()
    for view in _views(world):
        run = view.run
        assert run.epoch >= epochs.get(run.id, 0), "an epoch fell"
        epochs[run.id] = run.epoch
        assert (run.state is RunState.RUNNING) == (run.session_id is not None)
        assert run.session_id is None or run.session_id in sessions, "a lease of nobody"
        assert (run.state in ENDED) == (run.ended_at is not None)
    assert set(ready) <= lanes_of(world.memory.lanes), "queued runs that nobody would find"


def _come_to_rest(world: World, poller: SimPoller) -> None:
    """No more events and no more losses: all runs end in bounded time."""
    for _ in range(2_000):
        if all(view.run.state in ENDED for view in _views(world)):
            return
        for worker in world.workers:
            if not worker.session_id:
                world.connect(worker)
            world.heartbeat(worker)
            for _ in range(len(worker.held)):
                world.work(worker)
        poller.rest(world)
        world.pass_time(SECOND)
    left = [(view.run.id, view.run.state.name) for view in _views(world) if view.run.ended_at is None]
    raise AssertionError(f"{len(left)} runs never end, such as {left[:3]}")


def _check_the_end(world: World) -> None:
    views = _views(world)
    with world.store.read() as reader:
        events = reader.list_events("default", name="", id_="", before_key=0, limit=10_000, bytes_max=10**9)
        journals = reader.journals([view.run.id for view in views])
        assert reader.next_due() is None, "a timer of something that has ended"
    ids = Counter(event.id for event in events)
    assert world.accepted <= ids.keys()
    assert set(ids.values()) <= {1}, "an event was stored twice"
    assert Counter(view.event_id for view in views) == ids, "one run an event, as one function matches each"
    children: dict[str, int] = defaultdict(int)
    for event in events:
        if event.source_run_id is not None:
            children[event.source_run_id] += 1
    for view in views:
        keys = [entry.step_key for entry in journals.get(view.run.id, [])]
        assert len(set(keys)) == len(keys) == view.run.step_count
        sent = any(e.step_key == "s1#0" and e.state is StepState.COMPLETED for e in journals.get(view.run.id, []))
        assert children[view.run.id] == (CHILDREN if sent and view.function_id == "parent" else 0)
        assert view.run.state is not RunState.CANCELLED or view.run.id in world.cancelled
