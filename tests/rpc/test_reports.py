"""Reports are checked one by one: what is wrong with one is told in it, and harms no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.limits import DAY, FAILURE_TEXT_BYTES_MAX, SECOND, SLEEP_MAX, Limits
from controlplane.core.records import Failure, Report, ReportKind
from controlplane.gen.steplane.v1 import work_pb2 as work
from controlplane.rpc.reports import reports_of

NOW = 1_800_000_000 * SECOND
LIMITS = Limits(step_output_bytes_max=10, event_bytes_max=10, batch_events_max=2)


def read(**fields: Any) -> Report:
    """One report of step s#0 of run r1, epoch 3, as the server reads it."""
    values = {"run_id": "r1", "epoch": 3, "step_key": "s#0"} | fields
    (report,) = reports_of([work.Report(**values)], LIMITS, NOW)
    return report


def test_a_completed_step() -> None:
    """Its output is carried untouched."""
    report = read(
        step_completed={"output": {"data": b' {"a":1} '}, "attempt": 2}, start_time={"seconds": 1, "nanos": 2000}
    )
    assert report == Report(ReportKind.STEP_COMPLETED, "r1", 3, "s#0", SECOND + 2, b' {"a":1} ', "", None, 2)


def test_a_step_without_an_output_returned_null() -> None:
    """Nothing is JSON's null."""
    assert read(step_completed={"attempt": 1}).output == b"null"
    assert read(step_key="", run_completed={}).output == b"null"


def test_an_output_of_another_encoding_is_not_looked_at() -> None:
    """Whatever its bytes are."""
    report = read(step_completed={"output": {"data": b"\xff", "encoding": "binary/x"}, "attempt": 1})
    assert (report.output, report.encoding, report.problem) == (b"\xff", "binary/x", "")


@pytest.mark.parametrize(
    ("retry", "never", "after"),
    [
        ({}, False, None),
        ({"never": True}, True, None),
        ({"never": False}, False, None),
        ({"after": {"seconds": 90}}, False, 90 * SECOND),
        ({"after": {"seconds": -90}}, False, -90 * SECOND),
    ],
)
def test_a_failed_step(retry: dict[str, Any], never: bool, after: int | None) -> None:
    """The user's error and his wish; the engine keeps it within bounds."""
    report = read(step_failed={"failure": {"name": "E", "message": "m"}, "attempt": 1, "retry": retry})
    assert report == Report(
        ReportKind.STEP_FAILED,
        "r1",
        3,
        "s#0",
        failure=Failure("E", "m"),
        attempt=1,
        retry_never=never,
        retry_after=after,
    )


def test_a_failure_is_cut_rather_than_refused() -> None:
    """A failure that could not be told would come again for ever."""
    failure = {"name": "ß" * 1_000, "message": "ß" * 100_000, "stack": "x" * FAILURE_TEXT_BYTES_MAX}
    for report in (
        read(step_failed={"failure": failure, "attempt": 1}),
        read(step_key="", run_failed={"failure": failure}),
    ):
        assert report.problem == ""
        assert report.failure is not None
        assert len(report.failure.name.encode()) <= 256
        assert FAILURE_TEXT_BYTES_MAX - 4 <= len(report.failure.message.encode()) <= FAILURE_TEXT_BYTES_MAX
        assert report.failure.message.endswith("ß…")
        assert report.failure.stack == "x" * FAILURE_TEXT_BYTES_MAX


def test_a_sleep() -> None:
    """For a duration, or until a moment; a moment in the past is over at once."""
    assert read(sleep_started={"duration": {"seconds": 5}}).sleep_for == 5 * SECOND
    assert read(sleep_started={"duration": {}}).sleep_for == 0
    assert read(sleep_started={"due_time": {"seconds": 7}}).sleep_until == 7 * SECOND
    assert read(sleep_started={"due_time": {"seconds": -7}}).sleep_until == 0


def test_sent_events() -> None:
    """They are the records that SendEvents makes."""
    report = read(events_sent={"events": [{"name": "a"}, {"name": "b", "id": "e1"}]})
    assert report.kind is ReportKind.EVENTS_SENT
    assert [(event.id, event.name, event.data) for event in report.events] == [("", "a", b"{}"), ("e1", "b", b"{}")]


def test_outcomes() -> None:
    """They have no step key."""
    done = read(step_key="", run_completed={"output": {"data": b"1"}})
    assert done == Report(ReportKind.RUN_COMPLETED, "r1", 3, output=b"1")
    failed = read(step_key="", run_failed={"failure": {"name": "E"}, "retry": {"never": True}})
    assert failed == Report(ReportKind.RUN_FAILED, "r1", 3, failure=Failure("E", ""), retry_never=True)
    parked = read(step_key="", run_parked={"blocked_by": ["a#0", "b#0"]})
    assert parked == Report(ReportKind.RUN_PARKED, "r1", 3, blocked_by=("a#0", "b#0"))


DONE = {"output": {"data": b"1"}, "attempt": 1}


@pytest.mark.parametrize(
    ("fields", "reason", "problem"),
    [
        ({}, "UNKNOWN_BODY", "no body"),
        ({"step_key": "", "step_completed": DONE}, "INVALID_STEP_KEY", "step_key"),
        ({"step_key": "s", "step_completed": DONE}, "INVALID_STEP_KEY", "step_key"),
        ({"step_key": "s#x", "step_failed": {"attempt": 1}}, "INVALID_STEP_KEY", "step_key"),
        ({"step_key": "x" * 300 + "#0", "sleep_started": {}}, "INVALID_STEP_KEY", "256"),
        ({"run_completed": {}}, "INVALID_STEP_KEY", "no step_key"),
        ({"run_failed": {}}, "INVALID_STEP_KEY", "no step_key"),
        ({"run_parked": {"blocked_by": ["a#0"]}}, "INVALID_STEP_KEY", "no step_key"),
        ({"step_completed": {"output": {"data": b"1"}}}, "INVALID_ATTEMPT", "required"),
        ({"step_failed": {}}, "INVALID_ATTEMPT", "required"),
        ({"step_completed": {"output": {"data": b"1" * 11}, "attempt": 1}}, "OUTPUT_TOO_LARGE", "11 bytes; 10"),
        ({"step_completed": {"output": {"data": b"NaN"}, "attempt": 1}}, "INVALID_OUTPUT", "not JSON"),
        ({"step_completed": {"output": {"data": b"\xff"}, "attempt": 1}}, "INVALID_OUTPUT", "UTF-8"),
        ({"step_completed": {"output": {"encoding": "a\nb"}, "attempt": 1}}, "INVALID_OUTPUT", "control"),
        ({"step_key": "", "run_completed": {"output": {"data": b"1" * 11}}}, "OUTPUT_TOO_LARGE", "11 bytes"),
        ({"step_key": "", "run_completed": {"output": {"data": b"{"}}}, "INVALID_OUTPUT", "not JSON"),
        ({"sleep_started": {}}, "INVALID_DURATION", "366 days"),
        ({"sleep_started": {"duration": {"seconds": -1}}}, "INVALID_DURATION", "366 days"),
        ({"sleep_started": {"duration": {"seconds": SLEEP_MAX // SECOND + 1}}}, "INVALID_DURATION", "366 days"),
        (
            {"sleep_started": {"due_time": {"seconds": (NOW + SLEEP_MAX) // SECOND + 1}}},
            "INVALID_DURATION",
            "366 days",
        ),
        ({"events_sent": {}}, "INVALID_EVENTS", "at least one"),
        ({"events_sent": {"events": [{"name": "a"}] * 3}}, "INVALID_EVENTS", "3 events"),
        ({"events_sent": {"events": [{"name": "a"}, {"name": "steplane/a"}]}}, "INVALID_EVENTS", "events[1].name"),
        ({"events_sent": {"events": [{"name": "a", "data": {"data": b"[]"}}]}}, "INVALID_EVENTS", "events[0].data"),
        ({"step_key": "", "run_parked": {}}, "INVALID_BLOCKED_BY", "0 step keys"),
        ({"step_key": "", "run_parked": {"blocked_by": ["a#0"] * 10_001}}, "INVALID_BLOCKED_BY", "10001"),
    ],
)
def test_a_wrong_report(fields: dict[str, Any], reason: str, problem: str) -> None:
    """It keeps its names, for the ack, and carries nothing else."""
    report = read(**fields)
    assert report.problem_reason == reason
    assert problem in report.problem
    assert (report.run_id, report.epoch) == ("r1", 3)
    assert report.step_key == fields.get("step_key", "s#0")
    assert (report.output, report.events, report.failure) == (b"", (), None)


def test_a_wrong_report_harms_none_beside_it() -> None:
    """Order and number stay."""
    good = work.Report(run_id="r1", epoch=1, step_key="s#0", step_completed=DONE)
    reports = reports_of([good, work.Report(run_id="r2"), good], LIMITS, NOW)
    assert [bool(report.problem) for report in reports] == [False, True, False]


@pytest.mark.parametrize("seconds", [-1, 253_402_300_799, 9_223_372_036_854_775_807])
def test_an_impossible_start_is_left_out(seconds: int) -> None:
    """It is for people only, and no store could keep it."""
    report = read(step_completed=DONE, start_time={"seconds": seconds})
    assert (report.started_at, report.problem) == (0, "")
    assert read(step_completed=DONE, start_time={"seconds": (NOW + DAY) // SECOND}).started_at == NOW + DAY


@given(st.binary(max_size=200))
def test_any_readable_frame_gives_reports(raw: bytes) -> None:
    """Whatever a frame says, it becomes as many reports as it has, and no error."""
    try:
        messages = work.Reports.FromString(raw).reports
    except Exception:  # noqa: BLE001 what is no frame is refused before
        return
    assert len(reports_of(messages, LIMITS, NOW)) == len(messages)
