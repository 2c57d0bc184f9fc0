"""What the start of the server reads grows as fast as what is stored, and no faster: work is counted, not timed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from controlplane.core.records import WaitRow
from controlplane.store.interface import Tx
from controlplane.store.sqlite.open import SqliteStore
from tests.store.rows import committing, ids, run

FEW, MANY = 500, 4_000
GROWTH_MAX = 1.5
"""How much more work one of many may cost than one of few: indexes grow deeper."""


def lanes_of_one_function(tx: Tx, count: int) -> None:
    """Runs of one function, each in a lane of its own, as with a key for each user."""
    tx.insert_runs([run(id_, lane=index + 1) for index, id_ in enumerate(ids(count))])


def lanes_of_many_functions(tx: Tx, count: int) -> None:
    """Runs of a function each."""
    tx.insert_runs([run(id_, function_key=index + 1, lane=7) for index, id_ in enumerate(ids(count))])


def runs_of_one_lane(tx: Tx, count: int) -> None:
    """Runs that stand in one queue, and some in another."""
    tx.insert_runs([run(id_, lane=1 + index % 2) for index, id_ in enumerate(ids(count))])


def waits_for_many_events(tx: Tx, count: int) -> None:
    """Waits for an event of its own each."""
    tx.insert_waits(
        [
            WaitRow(id_, "wait#0", 0, "default", f"reply/{index}", "data.user", '"u"', "")
            for index, id_ in enumerate(ids(count))
        ]
    )


def waits_for_one_event(tx: Tx, count: int) -> None:
    """Waits for the same event, with a value of its own each."""
    tx.insert_waits(
        [
            WaitRow(id_, "wait#0", 0, "default", "reply", "data.user", str(index), "")
            for index, id_ in enumerate(ids(count))
        ]
    )


def work(fill: Callable[[Tx, int], None], count: int, ask: Callable[[Tx], Any]) -> float:
    """How many tens of SQLite's instructions one of so many rows costs."""
    with closing(SqliteStore.open(":memory:")) as store:
        with committing(store) as tx:
            fill(tx, count)
        connection, ticks = store._writer.connection, 0

        def tick() -> int:
            nonlocal ticks
            ticks += 1
            return 0

        with store.begin() as tx:
            connection.set_progress_handler(tick, 10)
            ask(tx)
            connection.set_progress_handler(None, 0)
    return ticks / count


@pytest.mark.parametrize("fill", [lanes_of_one_function, lanes_of_many_functions, runs_of_one_lane])
def test_lanes_are_found_in_linear_time(fill: Callable[[Tx, int], None]) -> None:
    """However runs are spread over lanes and functions."""
    few, many = (work(fill, count, lambda tx: tx.lanes_ready()) for count in (FEW, MANY))
    assert 0 < many <= GROWTH_MAX * few


@pytest.mark.parametrize("fill", [waits_for_many_events, waits_for_one_event])
def test_shapes_are_found_in_linear_time(fill: Callable[[Tx, int], None]) -> None:
    """However waits are spread over events."""
    few, many = (work(fill, count, lambda tx: tx.wait_shapes()) for count in (FEW, MANY))
    assert 0 < many <= GROWTH_MAX * few
