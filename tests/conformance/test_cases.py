"""The cases are data: what they cover, and what is told of one that can't be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.case import ACTIONS, MOMENTS, Case, CaseError, exclusions, load
from conformance.check import TRACEPARENT
from controlplane.gen.steplane.v1 import work_pb2

CASES = load()
STEPS = {"run", "sleep", "send", "wait", "invoke", "wait_signal", "send_signal"}
ERRORS = {
    "ArgumentError",
    "NestedStepError",
    "NonDeterminismError",
    "NotSerializableError",
    "RejectedError",
    "StepIdError",
    "TooLargeError",
}
REASONS = {
    "CANCELLED",
    "FUNCTION_NOT_FOUND",
    "SIGNAL_IN_USE",
    "SIGNAL_NOT_FOUND",
    "SIGNAL_REPLACED",
    "TIMED_OUT",
}
#: What has to go wrong in some case, by what the case has then.
FAULTS: dict[str, Callable[[Case], bool]] = {
    "crash after step n": lambda case: has_fault(case, "ack ", "kill worker"),
    "crash before step n is recorded": lambda case: has_fault(case, "report ", "kill worker"),
    "connection cut before a report": lambda case: has_fault(case, "report ", "cut"),
    "connection cut before an ack": lambda case: has_fault(case, "ack ", "cut"),
    "duplicate report": lambda case: has_fault(case, "report ", "repeat"),
    "duplicate acknowledgement": lambda case: has_fault(case, "ack ", "repeat"),
    "stale epoch": lambda case: has_fault(case, "ack ", "stale"),
    "stale epoch after a freeze": lambda case: has_fault(case, "ack ", "freeze worker"),
    "slow acknowledgement": lambda case: has_fault(case, "ack ", "delay"),
    "slow report": lambda case: has_fault(case, "report ", "delay"),
    "cancel in a step": lambda case: has_fault(case, "ack ", "cancel run"),
    "cancel of a parked run": lambda case: has_fault(case, "ack park", "cancel run"),
    "time-out of a wait": lambda case: {"wait", "timeout_ms"} <= used(case) and "null" in json.dumps(case.runs),
    "time-out of an invocation": lambda case: "TIMED_OUT" in str(case.runs),
    "server killed": lambda case: has_fault(case, "", "kill server"),
    "server stopped": lambda case: has_fault(case, "", "drain server"),
    "worker stopped": lambda case: has_fault(case, "", "stop worker"),
}
#: Each limit that the welcome tells, and the case that is one past it.
LIMITS = {
    "step_output_bytes_max": "step-output-too-large",
    "event_bytes_max": "event-too-large",
    "batch_events_max": "too-many-events",
    "batch_bytes_max": "events-too-large-together",
    "run_steps_max": "too-many-steps",
    "journal_bytes_max": "journal-too-large",
    "frame_bytes_max": "large-outputs-at-once",
}


def statements(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a script, at any depth."""
    if isinstance(value, list):
        for each in value:
            yield from statements(each)
    elif isinstance(value, dict):
        yield value
        for each in value.values():
            yield from statements(each)


def used(case: Case) -> set[str]:
    """The names of all statements of a case."""
    return {name for function in case.functions for each in statements(function["script"]) for name in each}


def has_fault(case: Case, moment: str, action: str) -> bool:
    """Whether something goes wrong in a case, at a moment of a kind."""
    return any(fault.moment.startswith(moment) and fault.action == action for fault in case.faults)


def test_no_case_is_excluded() -> None:
    """What is excluded proves nothing."""
    assert exclusions() == set()


def test_there_are_cases_enough() -> None:
    """Of every subject."""
    assert len(CASES) >= 150


@pytest.mark.parametrize("step", sorted(STEPS))
def test_every_kind_of_step_is_played(step: str) -> None:
    """In two cases at least."""
    with_it = [case for case in CASES if step in used(case)]

    assert len(with_it) >= 2


def test_every_kind_of_step_is_in_a_branch() -> None:
    """Beside others, or racing with them."""
    branches = [each for case in CASES for f in case.functions for each in statements(f["script"])]
    inside = {
        name
        for each in branches
        for form in ("parallel", "race")
        for inner in statements(each.get(form, []))
        for name in inner
    }

    assert inside >= {"run", "sleep", "send", "wait", "invoke"}


@pytest.mark.parametrize("form", ["parallel", "race"])
def test_every_form_of_branches_is_played(form: str) -> None:
    """Live, after a crash, and with branches in branches."""
    with_it = [case for case in CASES if form in used(case)]

    assert [case.name for case in with_it if not case.faults]
    assert [case.name for case in with_it if any(fault.action == "kill worker" for fault in case.faults)]


def test_branches_have_branches() -> None:
    """In some case."""
    inner = {
        name
        for case in CASES
        for function in case.functions
        for each in statements(function["script"])
        for inside in statements(each.get("parallel", []))
        for name in inside
    }

    assert "parallel" in inner


@pytest.mark.parametrize("fault", FAULTS)
def test_everything_that_has_to_goes_wrong_in_some_case(fault: str) -> None:
    """What a worker has to survive."""
    assert [case.name for case in CASES if FAULTS[fault](case)]


def test_every_limit_has_a_case_that_passes_it() -> None:
    """Those that a worker is told, and no other."""
    assert set(LIMITS) == {field.name for field in work_pb2.Limits.DESCRIPTOR.fields}
    assert set(LIMITS.values()) <= {case.name for case in CASES}


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_a_failed_step_is_expected_by_some_case(reason: str) -> None:
    """Those that the server gives."""
    assert [case.name for case in CASES if reason in str(case.runs)]


def test_the_trace_context_is_expected_by_some_case() -> None:
    """As a function has it, after a crash, and through children; each lineage is checked to be one trace anyway."""
    tracing = [case for case in CASES if case.subject == "15-tracing"]

    assert [case.name for case in tracing if TRACEPARENT in str(case.runs)]
    assert [case.name for case in tracing if any(fault.action == "kill worker" for fault in case.faults)]
    assert [case.name for case in tracing if {"send", "invoke"} <= used(case)]
    assert [case.name for case in tracing if any("traceparent" in event for event in case.send)]


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_fault_happens_in_some_case(action: str) -> None:
    """A fault that no case has would be dead code."""
    assert [case.name for case in CASES for fault in case.faults if fault.action == action]


@pytest.mark.parametrize("moment", sorted(MOMENTS))
def test_faults_happen_at_every_kind_of_moment(moment: str) -> None:
    """A moment that no case has would be dead code."""
    assert [case.name for case in CASES for fault in case.faults if fault.moment.startswith(moment)]


@pytest.mark.parametrize("error", sorted(ERRORS))
def test_every_kind_of_error_is_expected_by_some_case(error: str) -> None:
    """By its name, which is the same in every language."""
    assert [case.name for case in CASES if error in str(case.runs)]


@pytest.mark.parametrize("place", ["fails", "throw"])
def test_every_wish_of_an_error_is_played(place: str) -> None:
    """In a step and outside: none, never again, and again after a time."""
    failures = [
        failure
        for case in CASES
        for function in case.functions
        for each in statements(function["script"])
        if place in each
        for failure in (each[place] if place == "fails" else [each[place]])
    ]

    assert [failure for failure in failures if "retry" not in failure]
    assert [failure for failure in failures if failure.get("retry") == "never"]
    assert [failure for failure in failures if isinstance(failure.get("retry"), dict)]


def test_every_case_says_what_it_proves() -> None:
    """In a sentence, for the page on SDKs."""
    assert [case.name for case in CASES if not case.proves.endswith(".")] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {name: a, proves: b, script: [], expect: {}, retry_policy: 1}", "unknown: retry_policy"),
        ("- {name: a, proves: b, script: [], expect: {result: 1}}", "unknown: result"),
        ("- {name: a, proves: b, script: [], faults: [{at: ack x, do: explode}], expect: {}}", "'explode' is none of"),
        ("- {name: a, proves: b, script: [], faults: [{at: noon, do: cut}], expect: {}}", "'noon' is no moment"),
        ("- {name: a, proves: b, script: [], faults: [{at: ack x, do: hold}], expect: {}}", "'hold' is for reports"),
        ("- {name: a, proves: b, script: [], faults: [{at: report x, do: hold}], expect: {}}", "'until'"),
        ("- {name: a, proves: b, expect: {}}", "'script'"),
        ("- {name: a, proves: b", "01-wrong.yaml"),
        ("- {name: a, proves: b, script: []}", "'expect'"),
        ("- {name: a, proves: b, script: [], expect: {}}\n" * 2, "cases of the same name: a"),
    ],
)
def test_a_case_that_is_none_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """With the file, the case, and what would be right."""
    (tmp_path / "01-wrong.yaml").write_text(text)

    with pytest.raises(CaseError, match=told):
        load(tmp_path)
