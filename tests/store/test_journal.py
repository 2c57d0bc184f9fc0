"""The journal in transactions and readers."""

from __future__ import annotations

import pytest

from controlplane.core.limits import KIB
from controlplane.core.states import StepKind, StepState
from controlplane.store.interface import Store
from tests.store.rows import NOW, committing, entry, full_entry, ids


def test_an_entry_comes_back_as_it_was_stored(store: Store) -> None:
    """Every column is kept, with its type, whether it has its default or not."""
    (run_id,) = ids(1)
    rows = [
        entry(run_id, "plain#0"),
        full_entry(run_id, "full#0"),
        entry(run_id, "empty#0", output=b""),
        entry(run_id, "sleep ✓ \0 '\"#12", kind=StepKind.SLEEP, state=StepState.PENDING, output=None, ended_at=None),
    ]
    with committing(store) as tx:
        tx.insert_entries(rows)
        keys = [(run_id, row.step_key) for row in rows]
        found = tx.journal_entries(keys)
        assert found == dict(zip(keys, rows, strict=True))
        assert tx.journals([run_id]) == {run_id: rows}
        assert isinstance(found[run_id, "full#0"].kind, StepKind)
        assert isinstance(found[run_id, "full#0"].state, StepState)
        assert isinstance(found[run_id, "full#0"].event_ids, tuple)


@pytest.mark.parametrize("size", [4 * KIB, 4 * KIB + 1, 4 * 1024 * KIB])
def test_large_outputs_come_back(store: Store, size: int) -> None:
    """An output of any allowed size is kept."""
    (run_id,) = ids(1)
    rows = [entry(run_id, "large#0", output=b"\xfe" * size), entry(run_id, "small#0")]
    with committing(store) as tx:
        tx.insert_entries(rows)
        assert tx.journals([run_id]) == {run_id: rows}
        assert tx.journal_entries([(run_id, "large#0")]) == {(run_id, "large#0"): rows[0]}


def test_steps_that_are_not_recorded_are_left_out(store: Store) -> None:
    """An entry is known by run and step key together."""
    first, second = ids(2)
    with committing(store) as tx:
        tx.insert_entries([entry(first, "a#0"), entry(second, "b#0")])
        asked = [(first, "a#0"), (first, "b#0"), (second, "a#0"), (first, "a#1"), ("unknown", "a#0")]
        assert tx.journal_entries(asked) == {(first, "a#0"): entry(first, "a#0")}


def test_journals_are_in_the_order_of_recording(store: Store) -> None:
    """Each run's entries come in the order they were inserted, over several transactions and mixed with other runs."""
    first, second, third = ids(3)
    with committing(store) as tx:
        tx.insert_entries([entry(first, "z#0"), entry(second, "b#0"), entry(first, "a#0")])
    with committing(store) as tx:
        tx.insert_entries([entry(second, "a#0"), entry(first, "m#0")])
        found = tx.journals([second, first, third, first])
    assert {run_id: [row.step_key for row in rows] for run_id, rows in found.items()} == {
        first: ["z#0", "a#0", "m#0"],
        second: ["b#0", "a#0"],
    }


def test_an_update_keeps_the_place(store: Store) -> None:
    """New values are stored, and the order stays."""
    (run_id,) = ids(1)
    pending = entry(run_id, "nap#0", kind=StepKind.SLEEP, state=StepState.PENDING, output=None, due_at=NOW)
    with committing(store) as tx:
        tx.insert_entries([pending, entry(run_id, "load#0")])
    changed = full_entry(run_id, "nap#0")
    with committing(store) as tx:
        tx.update_entries([changed])
        assert tx.journals([run_id]) == {run_id: [changed, entry(run_id, "load#0")]}
        tx.update_entries([pending])
        assert tx.journals([run_id]) == {run_id: [pending, entry(run_id, "load#0")]}


def test_a_step_key_can_be_recorded_once_only(store: Store) -> None:
    """A second entry of the same run and step key is a bug, and changes nothing."""
    first, second = ids(2)
    with committing(store) as tx:
        tx.insert_entries([entry(first, "a#0"), entry(second, "a#0")])
    with pytest.raises(Exception, match=r"(?i)unique"), store.begin() as tx:
        tx.insert_entries([entry(first, "b#0"), entry(first, "a#0", output=b"2")])
    with committing(store) as tx:
        assert tx.journals([first]) == {first: [entry(first, "a#0")]}


def test_only_recorded_steps_can_be_updated(store: Store) -> None:
    """To update a step that is not recorded is a bug, and stores nothing."""
    (run_id,) = ids(1)
    with pytest.raises(AssertionError), store.begin() as tx:
        tx.update_entries([entry(run_id)])
    with committing(store) as tx:
        assert tx.journals([run_id]) == {}


@pytest.mark.parametrize("count", [1, 513, 2_000])
def test_sets_of_any_size(store: Store, count: int) -> None:
    """Sets are not bounded by what one statement takes."""
    rows = {id_: entry(id_) for id_ in ids(count)}
    with committing(store) as tx:
        tx.insert_entries(list(rows.values()))
        tx.update_entries([row._replace(attempts=2) for row in rows.values()])
        found = tx.journal_entries([(id_, "load#0") for id_ in rows])
        assert {row.attempts for row in found.values()} == {2}
        assert len(found) == count
        assert tx.journals(rows) == {id_: [row._replace(attempts=2)] for id_, row in rows.items()}


def test_a_long_journal_stays_in_order(store: Store) -> None:
    """A run of 2,000 steps comes back in order."""
    (run_id,) = ids(1)
    rows = [entry(run_id, f"step#{place}") for place in range(2_000)]
    with committing(store) as tx:
        tx.insert_entries(rows)
        assert tx.journals([run_id]) == {run_id: rows}


def test_a_reader_pages_through_a_journal(store: Store) -> None:
    """Each page goes on after the position where the last one ended."""
    run_id, other = ids(2)
    rows = [entry(run_id, f"step#{place}") for place in range(5)]
    with committing(store) as tx:
        for row in rows:
            tx.insert_entries([row, entry(other, row.step_key)])
    found = []
    after = 0
    with store.read() as reader:
        while page := reader.list_journal(run_id, after=after, limit=2, bytes_max=10**9):
            assert len(page) <= 2
            after = page[-1][0]
            found += [row for _, row in page]
        assert reader.list_journal("unknown", after=0, limit=2, bytes_max=10**9) == []
    assert found == rows


def test_a_page_ends_when_it_has_enough_bytes(store: Store) -> None:
    """The entry that brings the outputs to the bound is the last; there is always one."""
    (run_id,) = ids(1)
    rows = [
        entry(run_id, f"step#{place}", output=output) for place, output in enumerate([b"12345", None, b"123", b"1"])
    ]
    with committing(store) as tx:
        tx.insert_entries(rows)
    with store.read() as reader:

        def count(bytes_max: int) -> int:
            return len(reader.list_journal(run_id, after=0, limit=10, bytes_max=bytes_max))

        assert [count(bytes_max) for bytes_max in (1, 5, 6, 8, 9, 10)] == [1, 1, 3, 3, 4, 4]


def test_a_reader_gives_journals_without_outputs(store: Store) -> None:
    """Whole journals come in order, and bare of outputs."""
    first, second, third = ids(3)
    with committing(store) as tx:
        tx.insert_entries([entry(first, "z#0"), full_entry(second, "b#0"), full_entry(first, "a#0")])
    with store.read() as reader:
        assert reader.journals([first, second, third]) == {
            first: [entry(first, "z#0", output=None), full_entry(first, "a#0")._replace(output=None)],
            second: [full_entry(second, "b#0")._replace(output=None)],
        }
