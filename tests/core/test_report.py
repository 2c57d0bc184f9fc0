"""Which reports count: one table over run, epoch, report and recorded step."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.limits import Limits
from controlplane.core.records import Ack, AckStatus, JournalRow, Report, ReportKind, RunRow
from controlplane.core.report import STEP_KINDS, judge
from controlplane.core.states import RunState, StepKind, StepState
from tests.store.rows import entry, run

EPOCHS = {"same": 0, "older": -1, "newer": 1}

# How the step stands when the report comes:
#   none   not recorded             again  a failed try is recorded: the one that is reported, or a later one
#   next   a failed try is recorded: the one before       done   ended, or asleep
#   other  recorded as a step of another kind
STEPS = ("none", "again", "next", "done", "other")

# The first line that fits counts. "ok" means: carry it out.
TABLE = """
state      epoch  report          none      again     next      done      other
RUNNING    same   STEP_COMPLETED  ok        ok        ok        DUPLICATE REJECTED
RUNNING    same   STEP_FAILED     ok        DUPLICATE ok        DUPLICATE REJECTED
RUNNING    same   SLEEP_STARTED   ok        -         -         DUPLICATE REJECTED
RUNNING    same   EVENTS_SENT     ok        -         -         DUPLICATE REJECTED
RUNNING    same   WAIT_STARTED    ok        REJECTED  REJECTED  DUPLICATE REJECTED
RUNNING    same   INVOKE_STARTED  ok        REJECTED  REJECTED  DUPLICATE REJECTED
RUNNING    same   SIGNAL_*        ok        REJECTED  REJECTED  DUPLICATE REJECTED
RUNNING    same   RUN_*           ok        ok        ok        ok        ok
WAITING    same   RUN_PARKED      DUPLICATE DUPLICATE DUPLICATE DUPLICATE DUPLICATE
WAITING    same   RUN_FAILED      DUPLICATE DUPLICATE DUPLICATE DUPLICATE DUPLICATE
COMPLETED  same   RUN_COMPLETED   DUPLICATE DUPLICATE DUPLICATE DUPLICATE DUPLICATE
FAILED     same   RUN_FAILED      DUPLICATE DUPLICATE DUPLICATE DUPLICATE DUPLICATE
COMPLETED  same   STEP_FAILED     RUN_ENDED DUPLICATE RUN_ENDED DUPLICATE RUN_ENDED
FAILED     same   STEP_FAILED     RUN_ENDED DUPLICATE RUN_ENDED DUPLICATE RUN_ENDED
CANCELLED  same   STEP_FAILED     RUN_ENDED DUPLICATE RUN_ENDED DUPLICATE RUN_ENDED
SKIPPED    same   STEP_FAILED     RUN_ENDED DUPLICATE RUN_ENDED DUPLICATE RUN_ENDED
*          same   STEP_FAILED     STALE     DUPLICATE STALE     DUPLICATE STALE
COMPLETED  same   RUN_*           RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
FAILED     same   RUN_*           RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
CANCELLED  same   RUN_*           RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
SKIPPED    same   RUN_*           RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
*          same   RUN_*           STALE     STALE     STALE     STALE     STALE
COMPLETED  same   *               RUN_ENDED RUN_ENDED RUN_ENDED DUPLICATE RUN_ENDED
FAILED     same   *               RUN_ENDED RUN_ENDED RUN_ENDED DUPLICATE RUN_ENDED
CANCELLED  same   *               RUN_ENDED RUN_ENDED RUN_ENDED DUPLICATE RUN_ENDED
SKIPPED    same   *               RUN_ENDED RUN_ENDED RUN_ENDED DUPLICATE RUN_ENDED
*          same   *               STALE     STALE     STALE     DUPLICATE STALE
COMPLETED  *      *               RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
FAILED     *      *               RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
CANCELLED  *      *               RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
SKIPPED    *      *               RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED RUN_ENDED
*          *      *               STALE     STALE     STALE     STALE     STALE
"""


def expected(state: RunState, epoch: str, kind: ReportKind, step: str) -> str:
    """What the table says."""
    for line in TABLE.strip().splitlines()[1:]:
        *patterns, _, _, _, _, _ = words = line.split()
        if all(
            pattern == word or (pattern.endswith("*") and word.startswith(pattern[:-1]))
            for pattern, word in zip(patterns, (state.name, epoch, kind.name), strict=True)
        ):
            return words[3 + STEPS.index(step)].replace("STALE", "STALE_EPOCH")
    raise AssertionError


def recorded(kind: ReportKind, step: str) -> list[JournalRow | None]:
    """The rows that a word of `STEPS` stands for, with the second try about to be reported."""
    its_kind = STEP_KINDS.get(kind, StepKind.RUN)
    others = [other for other in StepKind if other is not its_kind]
    tries = entry("r", kind=StepKind.RUN, state=StepState.RETRYING)
    ends = (StepState.COMPLETED, StepState.PENDING if its_kind is StepKind.SLEEP else StepState.FAILED)
    rows: dict[str, list[JournalRow | None]] = {
        "none": [None],
        "again": [tries._replace(attempts=2), tries._replace(attempts=3)],
        "next": [tries._replace(attempts=1), tries._replace(attempts=1, due_at=5)],
        "done": [entry("r", kind=its_kind, state=state) for state in ends],
        "other": [entry("r", kind=other, state=StepState.COMPLETED) for other in others],
    }
    return rows[step]


CASES = [
    (state, epoch, kind, step)
    for state, epoch, kind, step in product(RunState, EPOCHS, ReportKind, STEPS)
    # Only a run step is tried again.
    if not (step in ("again", "next") and STEP_KINDS.get(kind) in (StepKind.SLEEP, StepKind.SEND_EVENTS))
]


@pytest.mark.parametrize(("state", "epoch", "kind", "step"), CASES)
def test_the_table(state: RunState, epoch: str, kind: ReportKind, step: str) -> None:
    """Every report meets the answer of the table, and a duplicate of a step is told what is recorded."""
    report = Report(kind, "r", 5 + EPOCHS[epoch], "load#0" if kind in STEP_KINDS else "", attempt=2)
    for row in recorded(kind, step):
        ack = judge(report, "default", run("r", state=state, epoch=5), row, Limits())

        assert expected(state, epoch, kind, step) == ("ok" if ack is None else ack.status.name)
        if ack is not None:
            assert ("r", report.epoch, report.step_key) == ack[:3]
            assert (row if ack.status is AckStatus.DUPLICATE and kind in STEP_KINDS else None) == ack.entry
            assert ("NON_DETERMINISM" if ack.status is AckStatus.REJECTED else "") == ack.reason


RUNNING = run("r", state=RunState.RUNNING, epoch=1)
COMPLETED = Report(ReportKind.STEP_COMPLETED, "r", 1, "load#0", output=b"12345", attempt=1)
RETRYING = entry("r", state=StepState.RETRYING)


def refused(report: Report, row: RunRow | None, step: JournalRow | None = None, **limits: int) -> str:
    """The reason of a rejection, or nothing."""
    ack = judge(report, "default", row, step, Limits(**limits))
    assert ack is None or ack.status is AckStatus.REJECTED
    return "" if ack is None else ack.reason


def test_a_report_that_is_wrong_in_form_is_rejected() -> None:
    """Its problem is the answer, whatever the run."""
    ack = judge(COMPLETED._replace(problem_reason="TOO_LARGE", problem="too large"), "default", None, None, Limits())

    assert Ack("r", 1, "load#0", AckStatus.REJECTED, None, "TOO_LARGE", "too large") == ack


def test_a_run_that_is_not_there_is_told() -> None:
    """A run of another namespace is as unknown as one that never was."""

    assert refused(COMPLETED, None) == "RUN_NOT_FOUND"
    assert refused(COMPLETED, RUNNING._replace(namespace="other")) == "RUN_NOT_FOUND"


def test_the_number_of_steps_is_limited() -> None:
    """The last step that fits is taken, and one more is rejected; what is recorded already counts for nothing."""

    assert refused(COMPLETED, RUNNING._replace(step_count=2), run_steps_max=3) == ""
    assert refused(COMPLETED, RUNNING._replace(step_count=3), run_steps_max=3) == "TOO_MANY_STEPS"
    assert refused(COMPLETED, RUNNING._replace(step_count=3), RETRYING, run_steps_max=3) == ""
    outcome = COMPLETED._replace(kind=ReportKind.RUN_COMPLETED, step_key="")
    assert refused(outcome, RUNNING._replace(step_count=3), run_steps_max=3) == ""


@pytest.mark.parametrize("step", [None, RETRYING])
def test_the_outputs_of_a_run_are_limited(step: JournalRow | None) -> None:
    """The last byte that fits is taken, and one more is rejected: at the first try and at a later one."""

    assert refused(COMPLETED, RUNNING._replace(journal_bytes=5), step, journal_bytes_max=10) == ""
    assert refused(COMPLETED, RUNNING._replace(journal_bytes=6), step, journal_bytes_max=10) == "JOURNAL_TOO_LARGE"


@given(
    st.builds(
        Report,
        kind=st.sampled_from(ReportKind),
        run_id=st.just("r"),
        epoch=st.integers(0, 3),
        step_key=st.sampled_from(["", "load#0"]),
        attempt=st.integers(0, 3),
        output=st.binary(max_size=9),
        problem=st.sampled_from(["", "wrong"]),
    ),
    st.none() | st.builds(run, id_=st.just("r"), state=st.sampled_from(RunState), epoch=st.integers(0, 3)),
    st.none()
    | st.builds(
        entry,
        run_id=st.just("r"),
        kind=st.sampled_from(StepKind),
        state=st.sampled_from(StepState),
        attempts=st.integers(0, 3),
    ),
)
def test_every_report_is_answered(report: Report, row: RunRow | None, step: JournalRow | None) -> None:
    """Nothing raises, and only the holder of the lease gets a report through."""
    ack = judge(report, "default", row, step, Limits(journal_bytes_max=5))

    if ack is None:
        assert row is not None
        assert (RunState.RUNNING, report.epoch) == (row.state, row.epoch)
    else:
        assert ack.status is not AckStatus.COMMITTED
        assert (ack.status is AckStatus.REJECTED) == bool(ack.message)
