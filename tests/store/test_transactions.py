"""What a transaction and a reader promise, whatever is read and written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.store.interface import RunFilter, Store, Tx
from tests.store.rows import (
    NOW,
    committing,
    cron_timer,
    entry,
    event,
    function,
    ids,
    leased,
    run,
    session,
    step_timer,
)


def write_everything(tx: Tx, run_id: str) -> None:
    """One row of each kind."""
    tx.insert_events([event(1)])
    tx.upsert_function(function("bill"))
    tx.insert_runs([run(run_id)])
    tx.insert_entries([entry(run_id)])
    tx.insert_timers([step_timer(run_id)])
    tx.upsert_sessions([session("session-1")])


def assert_empty(store: Store, run_id: str) -> None:
    """Nothing of it is there."""
    with committing(store) as tx:
        assert tx.events([1]) == {}
        assert tx.known_event_ids([("default", "event-1")], 0) == set()
        assert tx.functions() == []
        assert tx.runs([run_id]) == {}
        assert tx.claim_ready([(1, 0)], 10) == []
        assert tx.lanes_ready() == []
        assert tx.journals([run_id]) == {}
        assert tx.timers_due(NOW, 10) == []
        assert tx.sessions() == []


def test_leaving_without_commit_rolls_back(store: Store) -> None:
    """A transaction that was not committed leaves nothing behind."""
    (run_id,) = ids(1)
    with store.begin() as tx:
        write_everything(tx, run_id)
    assert_empty(store, run_id)


def test_an_error_rolls_back(store: Store) -> None:
    """An error inside the block leaves nothing behind, and comes out."""
    (run_id,) = ids(1)

    def fail() -> None:
        with store.begin() as tx:
            write_everything(tx, run_id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert_empty(store, run_id)


def test_a_change_that_was_rolled_back_is_not_remembered(store: Store) -> None:
    """After a roll-back reads give what was committed before, also of rows that were read and written a moment ago."""
    first, second = ids(2)
    with committing(store) as tx:
        tx.insert_runs([run(first)])
    with store.begin() as tx:
        tx.update_runs([leased(tx.runs([first])[first])])
        tx.insert_runs([run(second)])
        assert set(tx.runs([first, second])) == {first, second}
    with committing(store) as tx:
        assert tx.runs([first, second]) == {first: run(first)}
        assert tx.claim_ready([(1, 0)], 10) == [run(first)]


def test_a_commit_outlives_the_store(reopen: Callable[[], Store]) -> None:
    """What was committed is there when the store is opened again."""
    (run_id,) = ids(1)
    with committing(reopen()) as tx:
        write_everything(tx, run_id)
    with committing(reopen()) as tx:
        assert tx.events([1]) == {1: event(1)}
        assert [row.definition for row in tx.functions()] == [function("bill").definition]
        assert tx.runs([run_id]) == {run_id: run(run_id)}
        assert tx.journals([run_id]) == {run_id: [entry(run_id)]}
        assert tx.timers_due(NOW, 10) == [step_timer(run_id)]
        assert tx.sessions() == [session("session-1")]


def test_reads_see_own_writes(store: Store) -> None:
    """A transaction reads what it wrote, before it is committed."""
    (run_id,) = ids(1)
    with store.begin() as tx:
        write_everything(tx, run_id)
        assert tx.events([1]) == {1: event(1)}
        assert tx.known_event_ids([("default", "event-1")], 0) == {("default", "event-1")}
        assert [row.definition for row in tx.functions()] == [function("bill").definition]
        assert tx.runs([run_id]) == {run_id: run(run_id)}
        assert tx.lanes_ready() == [(1, 0)]
        assert tx.claim_ready([(1, 0)], 10) == [run(run_id)]
        tx.update_runs([leased(run(run_id))])
        assert tx.claim_ready([(1, 0)], 10) == []
        assert tx.runs_of_sessions(["session-1"]) == [leased(run(run_id))]
        assert tx.journals([run_id]) == {run_id: [entry(run_id)]}
        assert tx.timers_due(NOW, 10) == [step_timer(run_id)]
        assert tx.sessions() == [session("session-1")]


def test_a_reader_sees_committed_state_only(store: Store) -> None:
    """What a transaction wrote is seen by readers that begin after its commit, and by none before."""
    (run_id,) = ids(1)
    with store.begin() as tx:
        write_everything(tx, run_id)
        with store.read() as reader:
            assert reader.next_due() is None
            assert reader.get_run("default", run_id) is None
            assert reader.find_event("default", "event-1") is None
        tx.commit()
    with store.read() as reader:
        assert reader.next_due() == NOW
        assert reader.get_run("default", run_id) is not None
        assert reader.find_event("default", "event-1") is not None


def test_a_reader_sees_one_moment(store: Store) -> None:
    """A view does not change under its reader's hands; the next one has what was committed since."""
    first, second = ids(2)
    with committing(store) as tx:
        write_everything(tx, first)
    with store.read() as reader:
        before = reader.list_runs(RunFilter("default"), before_id="", limit=10)
        with committing(store) as tx:
            tx.insert_runs([run(second)])
            tx.insert_timers([cron_timer(1, "* * * * *", due_at=NOW - 1)])
        assert reader.list_runs(RunFilter("default"), before_id="", limit=10) == before
        assert reader.next_due() == NOW
    with store.read() as reader:
        assert len(reader.list_runs(RunFilter("default"), before_id="", limit=10)) == 2
        assert reader.next_due() == NOW - 1


def test_many_readers_at_a_time(store: Store) -> None:
    """Readers do not wait for each other, nor a transaction for them."""
    (run_id,) = ids(1)
    readers = [store.read() for _ in range(20)]
    views = [reader.__enter__() for reader in readers]
    assert [view.next_due() for view in views] == [None] * 20
    with committing(store) as tx:
        write_everything(tx, run_id)
    for reader in readers:
        reader.__exit__(None, None, None)
    with store.read() as view:
        assert view.next_due() == NOW


def test_house_keeping_changes_nothing(store: Store) -> None:
    """After a checkpoint everything is as before, with and without a reader."""
    run_ids = ids(2_000)
    with committing(store) as tx:
        tx.insert_runs([run(id_, output=bytes(3_000)) for id_ in run_ids])
    with store.read() as reader:
        assert reader.next_due() is None
        store.checkpoint()
    store.checkpoint()
    store.checkpoint()
    with committing(store) as tx:
        assert len(tx.runs(run_ids)) == 2_000


def test_empty_sets_are_fine(store: Store) -> None:
    """Every method takes an empty set, and gives nothing for it."""
    with committing(store) as tx:
        assert tx.known_event_ids([], 0) == set()
        assert tx.events([]) == {}
        assert tx.runs([]) == {}
        assert tx.runs_of_sessions([]) == []
        assert tx.journal_entries([]) == {}
        assert tx.journals([]) == {}
        tx.insert_events([])
        tx.insert_runs([])
        tx.update_runs([])
        tx.insert_entries([])
        tx.update_entries([])
        tx.insert_timers([])
        tx.delete_timers([])
        tx.delete_timers_of([])
        tx.replace_cron_timers(1, [])
        tx.upsert_sessions([])
        tx.delete_sessions([])
    with store.read() as reader:
        assert reader.events_sent_by([], 10) == []
        assert reader.runs_of_events([], 10) == []
        assert reader.journals([]) == {}
    assert_empty(store, "unknown")
