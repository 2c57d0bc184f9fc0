"""Step keys and span ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core import ids
from steplane.errors import StepIdError
from steplane.replay.key import child_traceparent, run_span_id, step_id, step_key, step_span_id

RUN_ID = "01J0000000000000000000000A"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("id_", "occurrence", "key"),
    [("load", 0, "load#0"), ("load", 3, "load#3"), ("a#1", 0, "a#1#0"), ("größe", 12, "größe#12")],
)
def test_a_key_is_the_id_and_how_often_it_was_used(id_: str, occurrence: int, key: str) -> None:
    """A step's key is its id, "#" and its occurrence, whatever the id holds."""
    assert step_key(id_, occurrence) == key
    assert step_id(key) == id_
    assert ids.is_step_key(key)


@pytest.mark.parametrize(
    ("id_", "problem"),
    [
        ("", "is empty"),
        ("a\nb", "control characters"),
        ("a\x7f", "control characters"),
        ("x" * 300, "300 bytes"),
        ("\ud800", "Unicode"),
        (7, "not a text, but a int"),
    ],
)
def test_a_bad_id_is_refused(id_: str, problem: str) -> None:
    """What can't be a step's id is refused before it is sent, and says why."""
    with pytest.raises(StepIdError, match=problem):
        step_key(id_, 0)


def test_the_longest_id_has_room_for_its_occurrence() -> None:
    """Every id that is let through makes a key that the server takes, whatever the occurrence."""
    longest = "x" * 251
    assert len(step_key(longest, 9999).encode()) == 256
    with pytest.raises(StepIdError):
        step_key(longest + "x", 0)


def test_spans_are_fixed() -> None:
    """The spans of a run and of a step are the first 8 bytes of SHA-256: these vectors hold for every SDK."""
    assert run_span_id(RUN_ID) == "5a32ca13ae123c4f"
    assert step_span_id(RUN_ID, "load#0") == "b9bc2bc1e03a1715"


@given(st.text(), st.text(min_size=1))
def test_spans_are_the_servers(run_id: str, key: str) -> None:
    """The server derives the same spans and trace contexts."""
    run_id = run_id.encode("utf-8", "replace").decode()
    key = key.encode("utf-8", "replace").decode()
    assert run_span_id(run_id) == ids.run_span_id(run_id)
    assert step_span_id(run_id, key) == ids.step_span_id(run_id, key)
    span = step_span_id(run_id, key)
    assert child_traceparent(PARENT, span) == ids.child_traceparent(PARENT, span)


def test_a_child_keeps_trace_and_flags() -> None:
    """Only the span of a trace context changes; without a parent there is none."""
    assert child_traceparent(PARENT, "1234567890abcdef") == "00-4bf92f3577b34da6a3ce929d0e0e4736-1234567890abcdef-01"
    assert child_traceparent("", "1234567890abcdef") == ""
