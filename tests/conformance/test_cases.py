"""The cases are data: what they cover, and what is told of one that can't be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.case import ACTIONS, MOMENTS, Case, CaseError, exclusions, load

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


def test_no_case_is_excluded() -> None:
    """What is excluded proves nothing."""
    assert exclusions() == set()


def test_there_are_cases_enough() -> None:
    """Of every subject."""
    assert len(CASES) >= 60


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
        ("- {name: a, proves: b, expect: {}}", "'script'"),
        ("- {name: a, proves: b, script: []}", "'expect'"),
        ("- {name: a, proves: b, script: [], expect: {}}\n" * 2, "cases of the same name: a"),
    ],
)
def test_a_case_that_is_none_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """With the file, the case, and what would be right."""
    (tmp_path / "01-wrong.yaml").write_text(text)

    with pytest.raises(CaseError, match=told):
        load(tmp_path)
