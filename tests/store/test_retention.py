"""What sweeping deletes, and what it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.core.limits import DAY
from controlplane.core.records import EventRow, RunRow, TimerKind, TimerRow
from controlplane.core.states import ENDED, RunState
from controlplane.store.interface import Store, Swept
from tests.store.rows import NOW, committing, ended, entry, event, ids, run, step_timer

OLD = NOW - 10 * DAY
BEFORE = NOW - 7 * DAY


def old_run(**fields: Any) -> RunRow:
    """A run that ended before the moment."""
    (run_id,) = ids(1, at=OLD)
    return ended(run(run_id, created_at=OLD), at=OLD + 1)._replace(**fields)


def old_event(key: int, **fields: Any) -> EventRow:
    """An event that was received before the moment."""
    return event(key, received_at=OLD, **fields)


def sweep(store: Store, *, limit: int = 100, run_cursor: str = "", event_cursor: int = 0) -> Swept:
    """One call, committed."""
    with committing(store) as tx:
        return tx.sweep(before=BEFORE, limit=limit, run_cursor=run_cursor, event_cursor=event_cursor)


def test_an_old_run_goes_with_all_that_is_its_own(store: Store) -> None:
    """Run, journal, timers that were left, and event are deleted; those of others stay."""
    old = old_run()
    (young,) = ids(1)
    with committing(store) as tx:
        tx.insert_events([old_event(1), event(2)])
        tx.insert_runs([old, ended(run(young, event_key=2))])
        tx.insert_entries([entry(old.id), entry(young)])
        tx.insert_timers([step_timer(old.id), step_timer(young)])
    assert sweep(store) == Swept(runs=1, events=1, run_cursor="", event_cursor=0)
    with committing(store) as tx:
        assert set(tx.runs([old.id, young])) == {young}
        assert set(tx.journals([old.id, young])) == {young}
        assert tx.timers_due(NOW, 10) == [step_timer(young)]
        assert set(tx.events([1, 2])) == {2}
    assert sweep(store) == Swept(runs=0, events=0, run_cursor="", event_cursor=0)


@pytest.mark.parametrize("state", list(RunState))
def test_only_ended_runs_go(store: Store, state: RunState) -> None:
    """A run that has not ended stays however old it is, with its event."""
    row = old_run(state=state, ended_at=OLD if state in ENDED else None)
    with committing(store) as tx:
        tx.insert_events([old_event(1)])
        tx.insert_runs([row])
    gone = int(state in ENDED)
    assert sweep(store) == Swept(runs=gone, events=gone, run_cursor="", event_cursor=0)
    with committing(store) as tx:
        assert len(tx.runs([row.id])) == 1 - gone


def test_the_moment_itself_stays(store: Store) -> None:
    """What ended or came at the moment stays; what did so just before goes."""
    first, second = ids(2, at=OLD)
    rows = [run(id_, created_at=OLD, event_key=9) for id_ in (first, second)]
    with committing(store) as tx:
        tx.insert_runs([ended(rows[0], at=BEFORE - 1), ended(rows[1], at=BEFORE)])
        tx.insert_events([event(1, received_at=BEFORE - 1), event(2, received_at=BEFORE)])
    assert sweep(store)[:2] == (1, 1)
    with committing(store) as tx:
        assert set(tx.runs([first, second])) == {second}
        assert set(tx.events([1, 2])) == {2}


def test_an_event_stays_while_it_is_needed(store: Store) -> None:
    """An event with a run of its own, of a run that is there, or that a timer delays, stays; any other old one goes."""
    waiting = old_run(state=RunState.WAITING, ended_at=None, event_key=1)
    with committing(store) as tx:
        tx.insert_runs([waiting])
        tx.insert_events(
            [
                old_event(1),
                old_event(2, source_run_id=waiting.id, source_step_key="send#0"),
                old_event(3),
                old_event(4, source_run_id="gone", source_step_key="send#0"),
                old_event(5),
            ]
        )
        tx.insert_timers([TimerRow(NOW, TimerKind.EVENT, "3"), TimerRow(NOW, TimerKind.CRON, "5", "* * * * * UTC")])
    assert sweep(store).events == 2
    with committing(store) as tx:
        assert set(tx.events(range(1, 6))) == {1, 2, 3}
        tx.delete_timers([TimerRow(NOW, TimerKind.EVENT, "3")])
        tx.update_runs([ended(waiting, at=OLD)])
    assert sweep(store) == Swept(runs=1, events=3, run_cursor="", event_cursor=0)


def test_no_more_is_looked_at_than_asked_for(store: Store) -> None:
    """The cursors lead through everything that is old, a piece at a time, oldest first, and are empty in the end."""
    run_ids = ids(25, at=OLD)
    with committing(store) as tx:
        tx.insert_runs([ended(run(id_, created_at=OLD, event_key=99), at=OLD) for id_ in run_ids])
        tx.insert_events([old_event(key) for key in range(1, 36)])
    found = []
    swept = Swept(0, 0, "", 0)
    for _ in range(4):
        swept = sweep(store, limit=10, run_cursor=swept.run_cursor, event_cursor=swept.event_cursor)
        found.append(swept)
        with committing(store) as tx:
            gone = sum(piece.runs for piece in found)
            assert gone == 25 or set(tx.runs(run_ids)) == set(run_ids[gone:])
    assert [piece.runs for piece in found] == [10, 10, 5, 0]
    assert [piece.events for piece in found] == [10, 10, 10, 5]
    assert [piece.run_cursor for piece in found] == [run_ids[9], run_ids[19], "", ""]
    assert [piece.event_cursor for piece in found] == [10, 20, 30, 0]


def test_what_has_to_stay_is_passed_over(store: Store) -> None:
    """Old runs and events that stay do not keep a sweep from those behind them."""
    run_ids = ids(20, at=OLD)
    with committing(store) as tx:
        tx.insert_runs([run(id_, created_at=OLD, event_key=1) for id_ in run_ids[:10]])
        tx.insert_runs([ended(run(id_, created_at=OLD, event_key=1), at=OLD) for id_ in run_ids[10:]])
        tx.insert_events([old_event(1), old_event(2)])
    first = sweep(store, limit=10)
    assert first == Swept(runs=0, events=1, run_cursor=run_ids[9], event_cursor=0)
    second = sweep(store, limit=11, run_cursor=first.run_cursor, event_cursor=first.event_cursor)
    assert second == Swept(runs=10, events=0, run_cursor="", event_cursor=0)


def test_a_sweep_stops_at_what_is_young(store: Store) -> None:
    """Young rows are not walked through: the end is reached with the first of them."""
    (old_id,) = ids(1, at=OLD)
    young_ids = ids(20)
    with committing(store) as tx:
        tx.insert_runs([ended(run(old_id, created_at=OLD), at=OLD)])
        tx.insert_runs([ended(run(id_, event_key=2)) for id_ in young_ids])
        tx.insert_events([old_event(1), *(event(key) for key in range(2, 30))])
    assert sweep(store, limit=10) == Swept(runs=1, events=1, run_cursor="", event_cursor=0)


def test_a_sweep_can_be_rolled_back(store: Store) -> None:
    """What an uncommitted sweep deleted is there afterwards."""
    row = old_run()
    with committing(store) as tx:
        tx.insert_runs([row])
    with store.begin() as tx:
        assert tx.sweep(before=BEFORE, limit=10, run_cursor="", event_cursor=0).runs == 1
        assert tx.runs([row.id]) == {}
    with committing(store) as tx:
        assert tx.runs([row.id]) == {row.id: row}


def test_large_journals_are_deleted_in_pieces(store: Store) -> None:
    """Runs with very many steps end a piece early; the cursor goes on where it ended."""
    run_ids = ids(5, at=OLD)
    with committing(store) as tx:
        tx.insert_runs([ended(run(id_, created_at=OLD, step_count=10_000), at=OLD) for id_ in run_ids])
    swept = Swept(0, 0, "", 0)
    calls = deleted = 0
    while calls == 0 or swept.run_cursor:
        swept = sweep(store, run_cursor=swept.run_cursor)
        deleted += swept.runs
        calls += 1
        assert calls <= 6
    assert deleted == 5
    assert calls > 1
