"""A naive twin of the store of runs: a dictionary, put back as it was if a transaction is rolled back."""

from __future__ import annotations

import random
from collections.abc import Callable

from controlplane.core.records import RunRow
from controlplane.core.states import RunState
from controlplane.store.interface import Store, Tx
from tests.store.rows import FAILURE, NOW, ids, run

_IDS = ids(60)


class Twin:
    """What runs should be stored."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRow] = {}

    def queued(self, function_key: int) -> list[RunRow]:
        """The queue of a function."""
        rows = [row for row in self.runs.values() if (row.state, row.function_key) == (RunState.QUEUED, function_key)]
        return sorted(rows, key=lambda row: (row.queued_at, row.id))

    def leased(self, session_id: str) -> dict[str, RunRow]:
        """What a session holds."""
        return {
            row.id: row for row in self.runs.values() if row.state is RunState.RUNNING and row.session_id == session_id
        }


def changed(rng: random.Random, row: RunRow) -> RunRow:
    """The run after one of many changes, small and large."""
    choices: list[Callable[[], RunRow]] = [
        lambda: row._replace(step_count=row.step_count + 1, journal_bytes=rng.randrange(100), deliveries=0),
        lambda: row._replace(
            state=RunState.RUNNING, session_id=rng.choice("ab"), epoch=row.epoch + 1, started_at=NOW, due_at=None
        ),
        lambda: row._replace(session_id=rng.choice("ab")),
        lambda: row._replace(state=RunState.QUEUED, session_id=None, queued_at=NOW + rng.randrange(5)),
        lambda: row._replace(state=RunState.WAITING, session_id=None, due_at=NOW + rng.randrange(5), has_timers=True),
        lambda: row._replace(state=RunState.COMPLETED, session_id=None, ended_at=NOW, output=rng.randbytes(5)),
        lambda: row._replace(state=RunState.FAILED, session_id=None, ended_at=NOW, failure=FAILURE, output=None),
        lambda: row,
    ]
    return rng.choice(choices)()


def act(rng: random.Random, tx: Tx, twin: Twin) -> None:
    """One random thing, done to both."""
    action = rng.randrange(3)
    some = rng.sample(_IDS, rng.randrange(1, 12))
    if action == 0:
        new = [run(id_, function_key=rng.randrange(1, 4)) for id_ in some if id_ not in twin.runs]
        tx.insert_runs(new)
        twin.runs.update((row.id, row) for row in new)
    elif action == 1:
        changes = [changed(rng, twin.runs[id_]) for id_ in some if id_ in twin.runs]
        tx.update_runs(changes)
        twin.runs.update((row.id, row) for row in changes)
    else:
        assert tx.runs(some) == {id_: twin.runs[id_] for id_ in some if id_ in twin.runs}


def assert_alike(tx: Tx, twin: Twin) -> None:
    """Both say the same about everything."""
    for function_key in range(1, 4):
        assert tx.claim_ready([(function_key, 0)], 5) == twin.queued(function_key)[:5]
    for session_id in "ab":
        assert {row.id: row for row in tx.runs_of_sessions([session_id])} == twin.leased(session_id)
    assert tx.lanes_ready() == [(key, 0) for key in range(1, 4) if twin.queued(key)]
    assert tx.runs(_IDS) == twin.runs


def drive(store: Store, *, seed: int) -> None:
    """Do the same random things to a store and to its twin, and compare what they say."""
    rng = random.Random(seed)
    twin = Twin()
    for _ in range(40):
        before = dict(twin.runs)
        with store.begin() as tx:
            for _ in range(rng.randrange(1, 6)):
                act(rng, tx, twin)
            if rng.random() < 0.5:
                assert_alike(tx, twin)
            if rng.random() < 0.7:
                tx.commit()
            else:
                twin.runs = before
    with store.begin() as tx:
        assert_alike(tx, twin)
