"""Runs in transactions."""

from __future__ import annotations

import pytest

from controlplane.core.limits import KIB
from controlplane.core.states import RunState
from controlplane.store.interface import Store
from tests.store.rows import FAILURE, NOW, committing, ended, full_run, ids, leased, run


def test_a_run_comes_back_as_it_was_stored(store: Store) -> None:
    """Every column is kept, with its type, whether it has its default or not."""
    first, second, third = ids(3)
    rows = {first: run(first), second: full_run(second), third: run(third, output=b"", session_id=None)}
    with committing(store) as tx:
        tx.insert_runs(list(rows.values()))
        assert tx.runs(rows) == rows
    with store.begin() as tx:
        found = tx.runs(rows)
        assert found == rows
        assert isinstance(found[second].state, RunState)
        assert found[second].has_timers is True
        assert found[first].has_timers is False


def test_every_changing_column_can_be_changed(store: Store) -> None:
    """An update stores all that may change, and an update back stores it back."""
    (run_id,) = ids(1)
    plain = run(run_id)
    fixed = plain._asdict().keys() & {
        "id", "namespace", "function_key", "event_key", "created_at", "traceparent", "tracestate",
    }  # fmt: skip
    changed = plain._replace(**{name: value for name, value in full_run(run_id)._asdict().items() if name not in fixed})
    with committing(store) as tx:
        tx.insert_runs([plain])
    for row in (changed, plain):
        with committing(store) as tx:
            tx.update_runs([row])
            assert tx.runs([run_id]) == {run_id: row}
        # Rolled back, so that nothing that is remembered can help.
        with store.begin():
            pass
        with store.begin() as tx:
            assert tx.runs([run_id]) == {run_id: row}


@pytest.mark.parametrize(
    "field",
    [
        "epoch", "attempt", "deliveries", "session_id", "queued_at", "due_at", "started_at", "ended_at", "step_count",
        "journal_bytes", "has_timers", "output", "output_encoding", "failure",
    ],
)  # fmt: skip
def test_a_single_column_can_be_changed_in_a_leased_run(store: Store, field: str) -> None:
    """Whatever changed alone is stored, and nothing else changes."""
    run_id, other = ids(2)
    row = leased(run(run_id), "session-2")._replace(deliveries=2)
    changed = row._replace(**{field: getattr(full_run(run_id), field)})
    assert changed != row
    with committing(store) as tx:
        tx.insert_runs([row, leased(run(other))])
    with committing(store) as tx:
        tx.update_runs([changed])
    # Rolled back, so that nothing that is remembered can help.
    with store.begin():
        pass
    with store.begin() as tx:
        assert tx.runs([run_id, other]) == {run_id: changed, other: leased(run(other))}


@pytest.mark.parametrize("size", [4 * KIB, 4 * KIB + 1, 1024 * KIB])
def test_large_outputs_come_back(store: Store, size: int) -> None:
    """An output of any size is kept."""
    run_id, other = ids(2)
    rows = {
        run_id: ended(run(run_id))._replace(output=b"\xff" * size),
        other: ended(run(other), state=RunState.FAILED)._replace(output=None, failure=FAILURE),
    }
    with committing(store) as tx:
        tx.insert_runs(list(rows.values()))
    with committing(store) as tx:
        assert tx.runs(rows) == rows


def test_unknown_ids_are_left_out(store: Store) -> None:
    """Only runs that are there come back."""
    here, gone = ids(2)
    with committing(store) as tx:
        tx.insert_runs([run(here)])
        assert tx.runs([here, gone, here]) == {here: run(here)}


@pytest.mark.parametrize("count", [1, 511, 513, 2_000])
def test_sets_of_any_size(store: Store, count: int) -> None:
    """Sets are not bounded by what one statement takes."""
    rows = {id_: run(id_) for id_ in ids(count)}
    with committing(store) as tx:
        tx.insert_runs(list(rows.values()))
        assert tx.claim_ready([(1, 0)], count + 1) == list(rows.values())
        tx.update_runs(leased(row) for row in rows.values())
    with store.begin():
        pass
    with committing(store) as tx:
        assert tx.runs(iter(rows)) == {id_: leased(row) for id_, row in rows.items()}
        assert len(tx.runs_of_sessions(["session-1"])) == count
        tx.update_runs([leased(row)._replace(step_count=1) for row in rows.values()])
    with store.begin():
        pass
    with committing(store) as tx:
        assert {row.step_count for row in tx.runs(rows).values()} == {1}


def test_an_id_can_be_inserted_once_only(store: Store) -> None:
    """A second run of the same id is a bug, and changes nothing."""
    (run_id,) = ids(1)
    with committing(store) as tx:
        tx.insert_runs([run(run_id)])
    with pytest.raises(Exception, match=r"(?i)unique"), store.begin() as tx:
        tx.insert_runs([run(run_id, function_key=2)])
    with committing(store) as tx:
        assert tx.runs([run_id]) == {run_id: run(run_id)}


def test_only_runs_that_are_there_can_be_updated(store: Store) -> None:
    """To update an unknown run is a bug, and stores nothing."""
    here, gone = ids(2)
    with committing(store) as tx:
        tx.insert_runs([run(here)])
    with pytest.raises(AssertionError), store.begin() as tx:
        tx.update_runs([leased(run(here)), leased(run(gone))])
    with committing(store) as tx:
        assert tx.runs([here, gone]) == {here: run(here)}


def test_the_oldest_are_claimed_first(store: Store) -> None:
    """Claims come by (queued_at, id), no more than asked for, of one function only."""
    first, second, third, fourth, other = ids(5)
    rows = [
        run(first, queued_at=NOW + 2),
        run(fourth, queued_at=NOW + 1),
        run(third, queued_at=NOW + 1),
        run(second, queued_at=NOW + 3),
        run(other, function_key=2, queued_at=NOW),
    ]
    with committing(store) as tx:
        tx.insert_runs(rows)
    with committing(store) as tx:
        assert [row.id for row in tx.claim_ready([(1, 0)], 10)] == [third, fourth, first, second]
        assert [row.id for row in tx.claim_ready([(1, 0)], 3)] == [third, fourth, first]
        assert tx.claim_ready([(1, 0)], 0) == []
        assert tx.claim_ready([(2, 0)], 10) == [rows[-1]]
        assert tx.claim_ready([(3, 0)], 10) == []


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.QUEUED])
def test_only_queued_runs_are_claimed(store: Store, state: RunState) -> None:
    """A run in any other state is not claimed, whether it was stored so or came to be so."""
    first, second = ids(2)
    with committing(store) as tx:
        tx.insert_runs([run(first, state=state), run(second)])
    with committing(store) as tx:
        tx.update_runs([run(second, state=state)])
        assert tx.claim_ready([(1, 0)], 10) == []
        assert tx.lanes_ready() == []


def test_a_run_that_is_queued_again_goes_to_its_new_place(store: Store) -> None:
    """Its `queued_at` counts, not its age."""
    first, second = ids(2)
    with committing(store) as tx:
        tx.insert_runs([run(first), run(second)])
        tx.update_runs([leased(run(first))])
    again = run(first, epoch=1, queued_at=NOW + 1)
    with committing(store) as tx:
        tx.update_runs([again])
        assert tx.claim_ready([(1, 0)], 10) == [run(second), again]


def test_functions_with_queued_runs_are_found(store: Store) -> None:
    """All functions that have queued runs, and no others."""
    run_ids = ids(40)
    with committing(store) as tx:
        tx.insert_runs([run(id_, function_key=1 + place % 10) for place, id_ in enumerate(run_ids)])
        assert tx.lanes_ready() == [(key, 0) for key in range(1, 11)]
        tx.update_runs([leased(run(id_, function_key=3)) for id_ in run_ids[2::10]])
        assert tx.lanes_ready() == [(key, 0) for key in range(1, 11) if key != 3]


def test_runs_of_sessions_are_those_they_hold(store: Store) -> None:
    """Only leases count that stand, and only those of the sessions asked for."""
    first, second, third, fourth, fifth = ids(5)
    with committing(store) as tx:
        tx.insert_runs([run(id_) for id_ in (first, second, third, fourth, fifth)])
        tx.update_runs(
            [
                leased(run(first), "a"),
                leased(run(second), "b"),
                leased(run(third), "c"),
                ended(leased(run(fourth), "a")),
            ]
        )
    with committing(store) as tx:
        assert {row.id for row in tx.runs_of_sessions(["a", "b", "unknown"])} == {first, second}
        assert tx.runs_of_sessions(["a"]) == [leased(run(first), "a")]
        tx.update_runs([leased(run(first), "a")._replace(session_id="b")])
        assert tx.runs_of_sessions(["a"]) == []
        assert {row.id for row in tx.runs_of_sessions({"b"})} == {first, second}
