"""Timers in transactions and readers."""

from __future__ import annotations

from controlplane.core.records import TimerKind, TimerRow
from controlplane.store.interface import Store
from tests.store.rows import NOW, committing, cron_timer, step_timer


def test_due_timers_come_earliest_first(store: Store) -> None:
    """What is due at the moment or before it comes, no more than asked for."""
    rows = [
        step_timer("run-1", due_at=NOW + 1),
        step_timer("run-2", due_at=NOW - 5),
        TimerRow(NOW, TimerKind.EVENT, "17"),
        TimerRow(NOW - 1, TimerKind.RUN, "run-3"),
        cron_timer(1, "* * * * *", due_at=NOW + 2),
    ]
    with committing(store) as tx:
        tx.insert_timers(iter(rows))
        assert tx.timers_due(NOW, 10) == [rows[1], rows[3], rows[2]]
        assert tx.timers_due(NOW, 2) == [rows[1], rows[3]]
        assert tx.timers_due(NOW - 6, 10) == []
        assert tx.timers_due(NOW + 2, 10) == [rows[1], rows[3], rows[2], rows[0], rows[4]]
        assert isinstance(tx.timers_due(NOW, 1)[0].kind, TimerKind)


def test_a_timer_that_is_there_is_left_as_it_is(store: Store) -> None:
    """To store a timer twice is to store it once; another due time is another timer."""
    row = step_timer("run-1")
    with committing(store) as tx:
        tx.insert_timers([row, row])
        tx.insert_timers([row, row._replace(due_at=NOW - 1)])
        assert tx.timers_due(NOW, 10) == [row._replace(due_at=NOW - 1), row]


def test_exactly_the_given_timers_are_deleted(store: Store) -> None:
    """A timer that differs in anything stays; one that is not there is no error."""
    row = TimerRow(NOW, TimerKind.STEP, "run-1", "nap#0")
    others = [
        row._replace(due_at=NOW + 1),
        row._replace(kind=TimerKind.RUN),
        row._replace(subject="run-2"),
        row._replace(detail="nap#1"),
        row._replace(subject="17", kind=TimerKind.EVENT, detail=""),
    ]
    with committing(store) as tx:
        tx.insert_timers([row, *others])
        tx.delete_timers([row, step_timer("unknown")])
        assert sorted(tx.timers_due(NOW + 1, 10)) == sorted(others)
        tx.delete_timers(iter(others))
        assert tx.timers_due(NOW + 1, 10) == []


def test_all_timers_of_runs_are_deleted(store: Store) -> None:
    """Timers of steps and bodies go; those of events and cron triggers stay, even with the same subject."""
    gone = [
        step_timer("run-1", "a#0"),
        step_timer("run-1", "b#0", due_at=NOW + 1),
        TimerRow(NOW, TimerKind.RUN, "run-2"),
        step_timer("17"),
    ]
    kept = [step_timer("run-3"), TimerRow(NOW, TimerKind.EVENT, "17"), cron_timer(17, "* * * * *")]
    with committing(store) as tx:
        tx.insert_timers(gone + kept)
        tx.delete_timers_of(iter(["run-1", "run-2", "17", "unknown"]))
        assert sorted(tx.timers_due(NOW + 1, 10)) == sorted(kept)


def test_cron_timers_are_replaced(store: Store) -> None:
    """New triggers get their timers, old ones lose theirs, and one that stays keeps the timer it has."""
    kept = cron_timer(1, "0 1 * * *", due_at=NOW)
    gone = cron_timer(1, "0 2 * * *", due_at=NOW)
    other = cron_timer(2, "0 2 * * *", due_at=NOW)
    step = step_timer("1", "0 2 * * * UTC")
    new = cron_timer(1, "0 3 * * *", due_at=NOW + 7)
    with committing(store) as tx:
        tx.replace_cron_timers(1, [kept, gone])
        tx.insert_timers([other, step])
        tx.replace_cron_timers(1, [kept._replace(due_at=NOW + 9), new])
        assert sorted(tx.timers_due(NOW + 9, 10)) == sorted([kept, new, other, step])
        tx.replace_cron_timers(1, [])
        assert sorted(tx.timers_due(NOW + 9, 10)) == sorted([other, step])


def test_sets_of_any_size(store: Store) -> None:
    """Sets are not bounded by what one statement takes."""
    rows = [step_timer(f"run-{place:04}") for place in range(2_000)]
    with committing(store) as tx:
        tx.insert_timers(rows)
        assert sorted(tx.timers_due(NOW, 3_000)) == rows
        tx.delete_timers(rows[:999])
        assert sorted(tx.timers_due(NOW, 3_000)) == rows[999:]
        tx.delete_timers_of(row.subject for row in rows)
        assert tx.timers_due(NOW, 3_000) == []


def test_a_reader_knows_when_to_wake(store: Store) -> None:
    """The earliest due time of all timers, in the past too; nothing if there is none."""
    with store.read() as reader:
        assert reader.next_due() is None
    with committing(store) as tx:
        tx.insert_timers([step_timer("run-1", due_at=NOW + 5), step_timer("run-2", due_at=NOW + 3)])
    with store.read() as reader:
        assert reader.next_due() == NOW + 3
    with committing(store) as tx:
        tx.delete_timers_of(["run-2"])
    with store.read() as reader:
        assert reader.next_due() == NOW + 5
