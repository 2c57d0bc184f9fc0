"""Events in transactions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.core.limits import KIB
from controlplane.store.interface import Store
from tests.store.rows import NOW, committing, event


def test_an_event_comes_back_as_it_was_stored(store: Store) -> None:
    """Every column is kept, also bytes that are no text, and empty data."""
    rows = [
        event(1),
        event(2, data=b"\x00\xff\xfe", encoding="raw", tracestate="vendor=1", namespace="other", ts=NOW + 5),
        event(3, data=b"", source_run_id="run-1", source_step_key="send ✓#0"),
        event(4, id="a'b\"c\\ \0 ✓", name="shop/✓"),
    ]
    with committing(store) as tx:
        tx.insert_events(rows)
        assert tx.events([1, 2, 3, 4]) == {row.key: row for row in rows}
    with committing(store) as tx:
        assert tx.events([1, 2, 3, 4]) == {row.key: row for row in rows}


@pytest.mark.parametrize("size", [4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 512 * KIB])
def test_large_data_comes_back(store: Store, size: int) -> None:
    """Data of any allowed size is kept."""
    row = event(1, data=bytes(range(256)) * (size // 256) + bytes(size % 256))
    with committing(store) as tx:
        tx.insert_events([row, event(2)])
        assert tx.events([1, 2]) == {1: row, 2: event(2)}


def test_unknown_keys_are_left_out(store: Store) -> None:
    """Only events that are there come back."""
    with committing(store) as tx:
        tx.insert_events([event(5)])
        assert tx.events([4, 5, 6]) == {5: event(5)}


@pytest.mark.parametrize("count", [1, 2, 3, 511, 512, 513, 2_000])
def test_sets_of_any_size(store: Store, count: int) -> None:
    """Sets are not bounded by what one statement takes."""
    rows = [event(key) for key in range(1, count + 1)]
    with committing(store) as tx:
        tx.insert_events(rows)
        assert tx.events(range(1, count + 1)) == {row.key: row for row in rows}
        pairs = [("default", row.id) for row in rows]
        assert tx.known_event_ids([*pairs, ("default", "unknown")], 0) == set(pairs)


def test_keys_follow_each_other(store: Store) -> None:
    """Reserved keys are positive, consecutive, and never given out twice."""
    with committing(store) as tx:
        first = tx.reserve_event_keys(3)
        assert first >= 1
        assert tx.reserve_event_keys(1) >= first + 3
    with committing(store) as tx:
        assert tx.reserve_event_keys(30_000) >= first + 4
    with committing(store) as tx:
        assert tx.reserve_event_keys(1) >= first + 30_004


def test_keys_stay_above_after_everything_was_swept(reopen: Callable[[], Store]) -> None:
    """A key is not given out again although its event is gone and the store was opened again."""
    store = reopen()
    with committing(store) as tx:
        first = tx.reserve_event_keys(2)
        tx.insert_events([event(first), event(first + 1)])
    with committing(store) as tx:
        swept = tx.sweep(before=NOW + 1, limit=10, run_cursor="", event_cursor=0)
        assert swept.events == 2
    with committing(reopen()) as tx:
        assert tx.reserve_event_keys(1) > first + 1


def test_keys_stay_above_although_unused(reopen: Callable[[], Store]) -> None:
    """A key that was given out by a committed transaction is not given out again, though no event got it."""
    with committing(reopen()) as tx:
        first = tx.reserve_event_keys(20_000)
    with committing(reopen()) as tx:
        assert tx.reserve_event_keys(1) >= first + 20_000


def test_keys_after_a_roll_back(reopen: Callable[[], Store]) -> None:
    """Keys of a transaction that was rolled back do no harm to those that follow."""
    store = reopen()
    with store.begin() as tx:
        tx.reserve_event_keys(20_000)
    with committing(store) as tx:
        first = tx.reserve_event_keys(1)
    with committing(reopen()) as tx:
        assert tx.reserve_event_keys(1) > first


def test_ids_are_known_within_the_window_only(store: Store) -> None:
    """An id is known if an event of it was received after the moment, not at it."""
    with committing(store) as tx:
        tx.insert_events([event(1, received_at=NOW)])
        pair = ("default", "event-1")
        assert tx.known_event_ids([pair], NOW - 1) == {pair}
        assert tx.known_event_ids([pair], NOW) == set()


def test_an_id_may_come_again_after_the_window(store: Store) -> None:
    """The same id may name several events; the newest counts."""
    pair = ("default", "same")
    with committing(store) as tx:
        tx.insert_events([event(1, id="same", received_at=NOW)])
        tx.insert_events([event(2, id="same", received_at=NOW + 10)])
        assert tx.known_event_ids([pair], NOW + 5) == {pair}
        assert tx.known_event_ids([pair], NOW + 10) == set()
        assert set(tx.events([1, 2])) == {1, 2}


def test_ids_are_known_in_their_namespace_only(store: Store) -> None:
    """The same id in another namespace is another event."""
    with committing(store) as tx:
        tx.insert_events([event(1, namespace="a", id="same"), event(2, namespace="b", id="other")])
        asked = [("a", "same"), ("b", "same"), ("a", "other"), ("b", "other")]
        assert tx.known_event_ids(asked, 0) == {("a", "same"), ("b", "other")}
