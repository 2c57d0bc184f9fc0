"""Lanes take turns, wait and are found again, at a cost that does not grow with how many others there are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from controlplane.core.records import RunExtra, Slot
from controlplane.core.states import RunState
from controlplane.engine.lanes import Lanes, Line
from tests.store.rows import ids, run

FEW, MANY = 200, 3_200
GROWTH_MAX = 1.5
F = 1
SLOT, OTHER_SLOT = 77, 78


def calls(do: Callable[[int], Any], count: int) -> float:
    """How many calls one of so many lanes costs. They are counted, as time would tell something else each time."""
    counted = 0

    def count_call(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count_call)
    try:
        do(count)
    finally:
        sys.setprofile(None)
    return counted / count


def holders(count: int) -> list[Any]:
    """Running runs, each of which holds a place of its own."""
    return [
        run(id_, lane=index + 1, state=RunState.RUNNING, extra=RunExtra(slots=(Slot(0, index + 1, False),)))
        for index, id_ in enumerate(ids(count))
    ]


def rebuild(count: int) -> Lanes:
    """Read anew, as after a turn that failed."""
    return Lanes([(F, lane) for lane in range(count)], holders(count))


def take_turns(count: int) -> None:
    """Give something to each lane, one by one."""
    lanes = Lanes([(F, lane) for lane in range(count)])
    for turn in range(count):
        (lane,) = lanes.first(F, 1)
        assert lane == turn
        lanes.draw(F, lane)


def wait_in_line(count: int) -> None:
    """All wait for one place, which becomes free again and again."""
    lanes = Lanes([(F, lane) for lane in range(count)])
    for lane in range(count):
        lanes.block(F, lane, SLOT, 1)
    holder = run("r", state=RunState.RUNNING, extra=RunExtra(slots=(Slot(0, SLOT, False),)))
    for turn in range(count):
        lanes.note(holder)
        lanes.note(holder._replace(state=RunState.COMPLETED))
        assert lanes.wake(1)
        assert lanes.first(F, 1) == [turn]
        lanes.drop(F, turn)


@pytest.mark.parametrize("do", [rebuild, take_turns, wait_in_line])
def test_what_a_lane_costs_does_not_grow_with_the_others(do: Callable[[int], Any]) -> None:
    """A queue with a key for each user has as many lanes as users."""
    assert calls(do, MANY) <= GROWTH_MAX * calls(do, FEW)


def test_a_lane_keeps_its_number_over_several_waits() -> None:
    """It lacks now this, now that; those who came later do not go before it, however often it waits."""
    lanes = Lanes([(F, lane) for lane in range(3)])
    first = run("r1", state=RunState.RUNNING, extra=RunExtra(slots=(Slot(0, SLOT, False),)))
    second = run("r2", state=RunState.RUNNING, extra=RunExtra(slots=(Slot(0, OTHER_SLOT, False),)))
    for _ in range(10):
        lanes.note(first, second)
        for lane in range(3):
            lanes.block(F, lane, SLOT, 1)
        lanes.note(first._replace(state=RunState.COMPLETED))
        assert lanes.wake(1)
        assert lanes.first(F, 3) == [0]
        lanes.block(F, 0, OTHER_SLOT, 1)
        lanes.note(second._replace(state=RunState.COMPLETED))
        assert lanes.wake(10)
        assert lanes.first(F, 1) == [0]
        for lane in lanes.first(F, 3):
            lanes.block(F, lane, SLOT, 1)
        lanes.note(first)
        lanes.note(first._replace(state=RunState.COMPLETED))
        assert lanes.wake(10)
        assert lanes.first(F, 3) == [0, 1, 2]


def test_a_line_does_not_grow_with_the_turns() -> None:
    """What is left behind by turns of long ago is cleared away."""
    line: Line[int] = Line()
    for number in range(10_000):
        line.put(number % 3, number)
    assert line.first(3) == [1, 2, 0]
    assert len(line._heap) <= 200
