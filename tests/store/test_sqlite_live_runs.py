"""Runs are remembered without being wrong, and without end."""

from __future__ import annotations

from contextlib import closing

import pytest

from controlplane.store.sqlite import live_runs
from controlplane.store.sqlite.live_runs import LiveRuns
from controlplane.store.sqlite.open import SqliteStore
from tests.store.rows import ended, ids, leased, run
from tests.store.twin import drive


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("generation", [0, 1, 5, 20])
def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch, generation: int, seed: int) -> None:
    """However few runs are remembered, the store says the same."""
    monkeypatch.setattr(live_runs, "_GENERATION_MAX", generation)
    with closing(SqliteStore.open(":memory:")) as store:
        drive(store, seed=seed)


def test_what_is_used_stays_and_the_rest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is asked for now and then outlives many that are not."""
    monkeypatch.setattr(live_runs, "_GENERATION_MAX", 10)
    used, *others = (run(id_) for id_ in ids(100))
    live = LiveRuns()
    live.put([used])
    for other in others:
        live.put([other])
        assert live.get(used.id) is used
    assert len([other for other in others if live.get(other.id)]) <= 2 * 10 + 1


def test_only_live_runs_are_remembered() -> None:
    """A run that ended, or that was parked, is forgotten in both generations."""
    row = leased(run(ids(1)[0]))
    live = LiveRuns()
    live.put([row])
    assert live.get(row.id) is row
    live.put([ended(row)])
    assert live.get(row.id) is None
