"""Ready runs and free slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.dispatch import Taker, assign, lease
from controlplane.core.states import IllegalTransition, RunState
from tests.store.rows import NOW, full_run, ids, run

CASES: list[tuple[int, list[int], list[int], list[int]]] = [
    # runs, free slots of each taker: whom each run goes to, and the slots that are left
    (0, [2, 2], [], [2, 2]),
    (3, [], [], []),
    (3, [0, 0], [], [0, 0]),
    (3, [5], [0, 0, 0], [2]),
    (3, [1], [0], [0]),
    (4, [2, 2], [0, 1, 0, 1], [0, 0]),
    (5, [1, 3, 1], [0, 1, 2, 1, 1], [0, 0, 0]),
    (3, [0, 1, 2], [1, 2, 2], [0, 0, 0]),
    (2, [3, 3, 3], [0, 1], [2, 2, 3]),
]


@pytest.mark.parametrize(("count", "free", "sessions", "left"), CASES)
def test_runs_go_to_takers_in_turn(count: int, free: list[int], sessions: list[int], left: list[int]) -> None:
    """The oldest runs go first, each to the next taker that has room; what finds no room is left out."""
    takers = [Taker(f"s{index}", slots) for index, slots in enumerate(free)]
    runs = [run(id_) for id_ in ids(count)]
    leased = assign(runs, takers, NOW)

    assert [(runs[index].id, f"s{session}") for index, session in enumerate(sessions)] == [
        (row.id, row.session_id) for row in leased
    ]
    assert left == [taker.free for taker in takers]


@given(st.integers(0, 30), st.lists(st.integers(0, 8), max_size=6))
def test_no_slot_is_given_twice_and_none_stays_empty_needlessly(count: int, free: list[int]) -> None:
    """As many runs are leased as there are slots, and no taker gets two more than another that has room left."""
    takers = [Taker(f"s{index}", slots) for index, slots in enumerate(free)]
    leased = assign([run(id_) for id_ in ids(count)], takers, NOW)
    given = [slots - taker.free for slots, taker in zip(free, takers, strict=True)]

    assert min(count, sum(free)) == len(leased) == sum(given)
    for index, taker in enumerate(takers):
        assert taker.free >= 0
        assert taker.free == 0 or given[index] >= max(given) - 1


def test_a_lease_raises_the_epoch_and_changes_nothing_else() -> None:
    """A lease has an epoch of its own, is counted as a delivery, and uses up no attempt."""
    before = full_run(ids(1)[0])._replace(state=RunState.QUEUED)

    assert before._replace(state=RunState.RUNNING, epoch=4, deliveries=2, session_id="s") == lease(before, "s", NOW + 9)


def test_the_first_lease_starts_the_run() -> None:
    """When a run started is told by its first lease."""
    first = lease(run("r"), "s", NOW + 9)

    assert (first.started_at, first.epoch, first.deliveries) == (NOW + 9, 1, 1)


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.QUEUED])
def test_only_a_queued_run_is_leased(state: RunState) -> None:
    """A run can't be given away twice."""

    with pytest.raises(IllegalTransition):
        lease(run("r", state=state), "s", NOW)
