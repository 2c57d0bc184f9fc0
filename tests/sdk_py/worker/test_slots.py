"""Slots and credit."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steplane.worker.slots import Slots


def test_all_slots_are_granted_at_first() -> None:
    """A new stream gets credit for every free slot, once."""
    slots = Slots(10)
    assert slots.credit() == 10
    assert slots.credit() is None


def test_one_slot_is_granted_again_as_soon_as_it_is_free() -> None:
    """A worker of one slot takes one invocation after the other."""
    slots = Slots(1)
    assert slots.credit() == 1
    slots.received()
    slots.busy += 1
    assert slots.credit() is None
    slots.busy -= 1
    assert slots.credit() == 2


def test_credit_is_granted_by_halves() -> None:
    """A stream that has credit for half of the slots left carries no frame for one slot more."""
    slots = Slots(10)
    slots.credit()
    for _ in range(4):
        slots.received()
    assert slots.credit() is None
    slots.received()
    assert slots.credit() == 15


def test_what_is_held_over_a_break_keeps_its_slot() -> None:
    """On a new stream credit is counted from 0, and resumed invocations occupy slots."""
    slots = Slots(3)
    slots.credit()
    slots.received()
    slots.busy += 1
    slots.reset()
    assert slots.credit() == 2


@pytest.mark.parametrize("count", [1, 2, 7])
@given(seed=st.integers())
def test_there_is_never_more_work_than_slots(count: int, seed: int) -> None:
    """Whatever comes and ends when, no more runs than there are slots, and no slot stays unused for ever."""
    rng = Random(seed)
    slots, granted, received = Slots(count), 0, 0
    for _ in range(200):
        granted = slots.credit() or granted
        if received < granted and rng.random() < 0.6:
            received += 1
            slots.received()
            slots.busy += 1
        elif slots.busy and rng.random() < 0.5:
            slots.busy -= 1
        assert slots.busy <= count
        assert granted - received <= count - slots.busy
    slots.busy = 0
    assert (slots.credit() or granted) > received
