"""Ids ascend, derived ids stay the same, and the trace context is W3C's."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from controlplane.core.ids import (
    Ids,
    child_event_id,
    child_traceparent,
    floor,
    is_step_key,
    is_traceparent,
    run_span_id,
    step_span_id,
)
from controlplane.core.limits import MILLISECOND

RUN = "01JD0000000000000000000001"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
MOMENTS = st.integers(0, (1 << 48) * MILLISECOND - 1)

TRACEPARENTS = {
    f"00-{TRACE}-{SPAN}-01": True,
    f"00-{TRACE}-{SPAN}-00": True,
    f"00-{TRACE}-{SPAN}-ff": True,
    f"cc-{TRACE}-{SPAN}-01": True,  # a version of the future
    f"cc-{TRACE}-{SPAN}-01-what-the-future-brings": True,
    f"00-{TRACE}-{SPAN}-01-more": False,  # version 00 has four fields
    f"00-{TRACE}-{SPAN}-01-": False,
    f"cc-{TRACE}-{SPAN}-01.more": False,
    f"ff-{TRACE}-{SPAN}-01": False,  # the forbidden version
    f"00-{'0' * 32}-{SPAN}-01": False,
    f"00-{TRACE}-{'0' * 16}-01": False,
    f"00-{TRACE.upper()}-{SPAN}-01": False,
    f"00-{TRACE[:-1]}-{SPAN}-01": False,
    f"00-{TRACE}-{SPAN}0-01": False,
    f"00-{TRACE}-{SPAN}-1": False,
    f"00-{TRACE}-{SPAN}": False,
    f"00-{TRACE}-{SPAN}-01\n": False,
    f" 00-{TRACE}-{SPAN}-01": False,
    f"00_{TRACE}_{SPAN}_01": False,
    f"00-{TRACE}-{SPAN}-0g": False,
    "": False,
}
STEP_KEYS = {
    "load#0": True,
    "load#12": True,
    "a#b#3": True,
    "two\nlines#0": True,
    "✓#0": True,
    "load#999999999": True,
    "load#1000000000": False,
    "load#01": False,
    "load#-1": False,
    "load#": False,
    "load": False,
    "#0": False,
    "load#0\n": False,
    "load#٣": False,  # digits of other scripts
    "": False,
}


@given(MOMENTS, st.integers(), st.integers(2, 50))
def test_ids_of_one_turn_ascend(now: int, seed: int, count: int) -> None:
    """Ids compare, as text, in the order that they were made in, and have 26 characters."""
    ids = Ids(now, random.Random(seed))
    made = [ids.make() for _ in range(count)]

    assert sorted(set(made)) == made
    assert {26} == {len(id_) for id_ in made}


@given(MOMENTS, MOMENTS, st.integers())
def test_ids_of_a_later_millisecond_are_greater(one: int, other: int, seed: int) -> None:
    """An id tells when it was made, to the millisecond."""
    earlier, later = sorted((one, other))
    rng = random.Random(seed)
    first, second = Ids(earlier, rng).make(), Ids(later, rng).make()

    assert first < second or earlier // MILLISECOND == later // MILLISECOND
    assert floor(earlier) <= first
    assert floor(later) <= second


@given(MOMENTS, st.integers())
def test_the_floor_of_the_next_millisecond_is_above(now: int, seed: int) -> None:
    """All ids of a moment are below the floor of the next millisecond, however many there are."""
    ids = Ids(now, random.Random(seed))
    made = [ids.make() for _ in range(5)]

    assert made[-1] < floor(now + MILLISECOND) or now + MILLISECOND >= (1 << 48) * MILLISECOND


def test_the_floor_of_no_moment_is_zero() -> None:
    """A moment before 1970 has the floor of 1970."""

    assert "0" * 26 == floor(-5) == floor(0) == floor(999)


def test_an_id_is_crockford_base_32() -> None:
    """An id is a ULID: ten characters of time, sixteen of chance."""

    assert floor(1_469_918_176_385 * MILLISECOND)[:10] == "01ARYZ6S41"
    assert not set("ILOU") & set(Ids(10**15, random.Random(1)).make())


def test_a_derived_event_id_is_always_the_same() -> None:
    """The same run, step and place make the same id; any other makes another."""
    first = child_event_id(RUN, "notify#0", 0)

    assert first == child_event_id(RUN, "notify#0", 0)
    assert (26, RUN[:10]) == (len(first), first[:10])
    others = [
        child_event_id(RUN[:-1] + "2", "notify#0", 0),
        child_event_id(RUN, "notify#1", 0),
        child_event_id(RUN, "notify#0", 1),
        child_event_id(RUN, "notify#01", 0),
    ]
    assert len({first, *others}) == 5


def test_derived_ids_are_pinned() -> None:
    """What SDKs derive too, and what is in stores already, never changes."""

    assert child_event_id(RUN, "notify#0", 0) == "01JD0000006QSV5C1992ZN2TFY"
    assert run_span_id(RUN) == "1bed5efb5ee33305"
    assert step_span_id(RUN, "notify#0") == "2f18b4cef1e20958"


def test_a_child_keeps_trace_and_flags() -> None:
    """A child's trace context has the parent's trace id and flags, another span, and the version that is spoken here."""

    assert f"00-{TRACE}-{'1' * 16}-01" == child_traceparent(f"00-{TRACE}-{SPAN}-01", "1" * 16)
    assert f"00-{TRACE}-{'1' * 16}-00" == child_traceparent(f"cc-{TRACE}-{SPAN}-00-future", "1" * 16)


@given(st.integers())
def test_fresh_traces_are_valid(seed: int) -> None:
    """A trace that the server begins is W3C's."""
    ids = Ids(0, random.Random(seed))

    assert is_traceparent(f"00-{ids.trace_id()}-{ids.span_id()}-01")


def test_no_chance_makes_no_empty_trace() -> None:
    """Zero is not a trace id nor a span id."""

    class Zero(random.Random):
        @override
        def getrandbits(self, k: int, /) -> int:
            return 0

    ids = Ids(0, Zero())

    assert is_traceparent(f"00-{ids.trace_id()}-{ids.span_id()}-01")


@pytest.mark.parametrize("text", TRACEPARENTS)
def test_traceparents(text: str) -> None:
    """Only what the W3C's recommendation allows is a traceparent."""

    assert TRACEPARENTS[text] is is_traceparent(text)


@pytest.mark.parametrize("text", STEP_KEYS)
def test_step_keys(text: str) -> None:
    """A step key is an id, "#", and how often that id was used before."""

    assert STEP_KEYS[text] is is_step_key(text)
