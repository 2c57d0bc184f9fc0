"""What a reader shows of runs and events."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.core.limits import MILLISECOND, SECOND
from controlplane.core.records import RunRow
from controlplane.core.states import RunState
from controlplane.store.interface import RunFilter, RunView, Store
from tests.store.rows import FAILURE, NOW, committing, ended, event, function, ids, leased, run


@pytest.fixture
def runs(store: Store) -> list[RunRow]:
    """Six runs of three functions, one second apart, oldest first."""
    with committing(store) as tx:
        keys = [
            tx.upsert_function(row).key for row in (function("bill"), function("ship"), function("bill", app_id="bank"))
        ]
        other = tx.upsert_function(function("bill", namespace="other")).key
        tx.insert_events([event(1, id="first"), event(2, id="second", name="shop/paid"), event(3, id="first")])
        rows = []
        for place in range(6):
            moment = NOW + place * SECOND
            row = run(ids(1, at=moment)[0], function_key=keys[place % 3], event_key=1 + place // 2, created_at=moment)
            rows.append(row)
        rows[1] = leased(rows[1])
        rows[2] = ended(rows[2])
        rows[3] = ended(rows[3], state=RunState.FAILED)._replace(failure=FAILURE)
        tx.insert_runs([*rows, run(ids(1, at=NOW - 1)[0], namespace="other", function_key=other, event_key=9)])
    return rows


def listed(store: Store, *, before_id: str = "", limit: int = 100, **fields: Any) -> list[str]:
    """The ids of the runs that pass."""
    filter_ = RunFilter("default", **fields)
    with store.read() as reader:
        return [view.run.id for view in reader.list_runs(filter_, before_id=before_id, limit=limit)]


def test_a_run_is_found_with_its_names(store: Store, runs: list[RunRow]) -> None:
    """A run comes whole, with the names of its function and event; from its own namespace only."""
    with store.read() as reader:
        assert reader.get_run("default", runs[2].id) == RunView(runs[2], "bank", "bill", "second", "shop/paid")
        assert reader.get_run("default", runs[3].id) == RunView(runs[3], "shop", "bill", "second", "shop/paid")
        assert reader.get_run("other", runs[2].id) is None
        assert reader.get_run("default", "unknown") is None


def test_runs_are_listed_newest_first_and_bare(store: Store, runs: list[RunRow]) -> None:
    """All runs of the namespace come, without their outputs."""
    with store.read() as reader:
        views = reader.list_runs(RunFilter("default"), before_id="", limit=100)
    assert [view.run for view in views] == [row._replace(output=None) for row in reversed(runs)]
    assert [view.event_id for view in views] == ["first", "first", "second", "second", "first", "first"]
    assert views[0].run.state is RunState.QUEUED


def test_runs_are_listed_in_pages(store: Store, runs: list[RunRow]) -> None:
    """A page goes on below the last one's last id."""
    wanted = [row.id for row in reversed(runs)]
    assert listed(store, limit=4) == wanted[:4]
    assert listed(store, limit=4, before_id=wanted[3]) == wanted[4:]
    assert listed(store, limit=4, before_id=wanted[5]) == []


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"app_id": "shop"}, [4, 3, 1, 0]),
        ({"app_id": "shop", "function_id": "bill"}, [3, 0]),
        ({"function_id": "bill"}, [5, 3, 2, 0]),
        ({"app_id": "unknown"}, []),
        ({"states": (RunState.QUEUED,)}, [5, 4, 0]),
        ({"states": (RunState.RUNNING, RunState.FAILED)}, [3, 1]),
        ({"states": (RunState.CANCELLED,)}, []),
        ({"event_id": "first"}, [5, 4, 1, 0]),
        ({"event_id": "second"}, [3, 2]),
        ({"event_id": "unknown"}, []),
        ({"event_id": "first", "function_id": "ship", "states": (RunState.RUNNING,)}, [1]),
        ({"created_min": NOW + 2 * SECOND}, [5, 4, 3, 2]),
        ({"created_min": NOW + 2 * SECOND + 1}, [5, 4, 3]),
        ({"created_max": NOW + 2 * SECOND}, [1, 0]),
        ({"created_max": NOW + 2 * SECOND + 1}, [2, 1, 0]),
        ({"created_min": NOW + SECOND, "created_max": NOW + 2 * SECOND}, [1]),
        ({"created_min": 0, "created_max": NOW}, []),
    ],
)
def test_runs_are_filtered(store: Store, runs: list[RunRow], fields: dict[str, Any], places: list[int]) -> None:
    """Only runs that pass every filter come; the lower bound of time is part of it, the upper is not."""
    assert listed(store, **fields) == [runs[place].id for place in places]


def test_filters_and_pages_go_together(store: Store, runs: list[RunRow]) -> None:
    """A page is full with runs that pass."""
    assert listed(store, function_id="bill", limit=2) == [runs[5].id, runs[3].id]
    assert listed(store, function_id="bill", limit=2, before_id=runs[3].id) == [runs[2].id, runs[0].id]
    assert listed(store, event_id="first", limit=3, before_id=runs[5].id) == [runs[4].id, runs[1].id, runs[0].id]


def test_time_bounds_are_finer_than_ids(store: Store) -> None:
    """Ids know milliseconds; runs made within one are told apart by microseconds."""
    row = run(ids(1)[0], created_at=NOW + 300)
    with committing(store) as tx:
        tx.upsert_function(function("bill"))
        tx.insert_runs([row])
    assert listed(store, created_min=NOW + 300, created_max=NOW + 301) == [row.id]
    assert listed(store, created_min=NOW + 301) == []
    assert listed(store, created_max=NOW + 300) == []
    assert listed(store, created_max=NOW + MILLISECOND) == [row.id]


def test_runs_of_events_come_oldest_first(store: Store, runs: list[RunRow]) -> None:
    """The runs of all these events come, bare, no more than asked for."""
    with store.read() as reader:
        views = reader.runs_of_events([3, 1, 99], 100)
        assert [view.run for view in views] == [row._replace(output=None) for row in (*runs[:2], *runs[4:])]
        assert {view.event_id for view in views} == {"first"}
        assert [view.run.id for view in reader.runs_of_events([3, 1], 3)] == [row.id for row in (*runs[:2], runs[4])]


def test_events_are_listed_newest_first(store: Store) -> None:
    """All events of the namespace come whole, in pages, and are filtered by name and id."""
    rows = [event(key, name=f"shop/{key % 2}", id=f"id-{key % 3}", data=bytes([key])) for key in range(1, 8)]
    with committing(store) as tx:
        tx.insert_events([*rows, event(8, namespace="other", name="shop/1", id="id-1")])

    def listed_keys(*, name: str = "", id_: str = "", before_key: int = 0, limit: int = 100) -> list[int]:
        with store.read() as reader:
            found = reader.list_events(
                "default", name=name, id_=id_, before_key=before_key, limit=limit, bytes_max=10**9
            )
        assert found == [rows[row.key - 1] for row in found]
        return [row.key for row in found]

    assert listed_keys() == [7, 6, 5, 4, 3, 2, 1]
    assert listed_keys(limit=3) == [7, 6, 5]
    assert listed_keys(limit=3, before_key=5) == [4, 3, 2]
    assert listed_keys(name="shop/1") == [7, 5, 3, 1]
    assert listed_keys(name="shop/1", before_key=5) == [3, 1]
    assert listed_keys(id_="id-1") == [7, 4, 1]
    assert listed_keys(id_="id-1", before_key=7, limit=1) == [4]
    assert listed_keys(id_="id-1", name="shop/0") == [4]
    assert listed_keys(id_="unknown") == []


def test_a_page_of_events_ends_when_it_has_enough_bytes(store: Store) -> None:
    """The event that brings the data to the bound is the last; there is always one."""
    with committing(store) as tx:
        tx.insert_events([event(1, data=b"1"), event(2, data=b""), event(3, data=b"12345")])
    with store.read() as reader:

        def count(bytes_max: int) -> int:
            return len(reader.list_events("default", name="", id_="", before_key=0, limit=10, bytes_max=bytes_max))

        assert [count(bytes_max) for bytes_max in (1, 5, 6, 7)] == [1, 1, 3, 3]


def test_the_newest_event_of_an_id_is_found(store: Store) -> None:
    """An id that came again means its newest event; it comes without its data, from its own namespace."""
    with committing(store) as tx:
        tx.insert_events([event(1, id="same"), event(2, id="same"), event(3, id="same", namespace="other")])
    with store.read() as reader:
        assert reader.find_event("default", "same") == event(2, id="same", data=b"")
        assert reader.find_event("other", "same") == event(3, id="same", namespace="other", data=b"")
        assert reader.find_event("default", "unknown") is None


def test_events_of_steps_are_found(store: Store) -> None:
    """The events that these runs sent come oldest first, without their data, no more than asked for."""
    rows = [
        event(1),
        event(2, source_run_id="run-1", source_step_key="b#0"),
        event(3, source_run_id="run-2", source_step_key="a#0", data=bytes(100_000)),
        event(4, source_run_id="run-3", source_step_key="a#0"),
        event(5, source_run_id="run-1", source_step_key="a#0"),
    ]
    with committing(store) as tx:
        tx.insert_events(rows)
    with store.read() as reader:
        found = reader.events_sent_by(["run-2", "run-1", "unknown"], 100)
        assert found == [rows[key - 1]._replace(data=b"") for key in (2, 3, 5)]
        assert [row.key for row in reader.events_sent_by(["run-2", "run-1"], 2)] == [2, 3]


def test_a_lineage_of_any_width(store: Store) -> None:
    """Readers take sets of any size too."""
    run_ids = ids(2_000)
    with committing(store) as tx:
        tx.upsert_function(function("bill"))
        tx.insert_runs([run(id_, event_key=place + 1) for place, id_ in enumerate(run_ids)])
        tx.insert_events(
            [event(place + 1, source_run_id=id_, source_step_key="a#0") for place, id_ in enumerate(run_ids)]
        )
    with store.read() as reader:
        assert [view.run.id for view in reader.runs_of_events(range(1, 2_001), 5_000)] == run_ids
        assert [row.key for row in reader.events_sent_by(run_ids, 5_000)] == list(range(1, 2_001))
        assert reader.journals(run_ids) == {}
