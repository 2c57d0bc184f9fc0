"""Reports of steps that wait for others, in form: what is wrong rejects that report alone, with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format

from controlplane.core.limits import DAY, SECOND, WAIT_MAX, Limits
from controlplane.core.records import Report, ReportKind
from controlplane.core.requests import InvokeRequest, SignalRequest, SignalWaitRequest, WaitedEvent, WaitRequest
from controlplane.gen.steplane.v1 import work_pb2
from controlplane.rpc.reports import reports_of

NOW = 1_800_000_000 * SECOND
LIMITS = Limits(event_bytes_max=20)


def read(text: str) -> Report:
    """The record of a report."""
    message = text_format.Parse(f"run_id: 'r' epoch: 1 step_key: 's#0' {text}", work_pb2.Report())
    (report,) = reports_of([message], LIMITS, NOW)
    return report


@pytest.mark.parametrize(
    ("text", "kind", "request_"),
    [
        (
            "wait_started { events { event: 'a*' match: 'data.x.y' } events { event: 'b' expression: 'async.id == event.id' } }",
            ReportKind.WAIT_STARTED,
            WaitRequest((WaitedEvent("a*", "data.x.y"), WaitedEvent("b", "", "async.id == event.id")), False, WAIT_MAX),
        ),
        (
            "wait_started { events { event: 'a' } all_of: true timeout { seconds: 31622400 } since { seconds: 5 } }",
            ReportKind.WAIT_STARTED,
            WaitRequest((WaitedEvent("a"),), True, 366 * DAY, 5 * SECOND),
        ),
        (
            "wait_started { events { event: 'a' } since_run: true timeout { } }",
            ReportKind.WAIT_STARTED,
            WaitRequest((WaitedEvent("a"),), False, 0, None, True),
        ),
        (
            "invoke_started { function_id: 'f' timeout { seconds: 1 } }",
            ReportKind.INVOKE_STARTED,
            InvokeRequest("", "f", b"{}", "", SECOND),
        ),
        (
            "signal_wait_started { signal: 'x' on_conflict: SIGNAL_CONFLICT_REPLACE }",
            ReportKind.SIGNAL_WAIT_STARTED,
            SignalWaitRequest("x", WAIT_MAX, True),
        ),
        ("signal_sent { signal: 'x' }", ReportKind.SIGNAL_SENT, SignalRequest("x", b"null", "")),
    ],
)
def test_what_is_right_is_read(text: str, kind: ReportKind, request_: Any) -> None:
    """With every default filled in."""
    report = read(text)
    assert (report.problem, report.kind, report.step_key, report.request) == ("", kind, "s#0", request_)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("wait_started { }", "INVALID_WAIT"),
        ("wait_started { " + "events { event: 'a' } " * 11 + "}", "INVALID_WAIT"),
        ("wait_started { events { } }", "INVALID_WAIT"),
        ("wait_started { events { event: 'a*b' } }", "INVALID_WAIT"),
        ("wait_started { events { event: 'a' match: 'user' } }", "INVALID_WAIT"),
        ("wait_started { events { event: 'a' expression: 'async.' } }", "INVALID_EXPRESSION"),
        ("wait_started { events { event: 'a' expression: 'other == 1' } }", "INVALID_EXPRESSION"),
        ("wait_started { events { event: 'a' match: 'data.x' expression: 'true' } }", "INVALID_EXPRESSION"),
        ("wait_started { events { event: 'a' } timeout { seconds: 31622401 } }", "INVALID_DURATION"),
        ("wait_started { events { event: 'a' } timeout { seconds: -1 } }", "INVALID_DURATION"),
        ("wait_started { events { event: 'a' } since { seconds: -1 } }", "INVALID_WAIT"),
        ("invoke_started { }", "INVALID_INVOKE"),
        ("invoke_started { function_id: 'f' app_id: 'no/app' }", "INVALID_INVOKE"),
        ("invoke_started { function_id: 'f' data { data: '[]' } }", "INVALID_INVOKE"),
        ("invoke_started { function_id: 'f' data { data: '{\"x\": \"too long for it\"}' } }", "INVALID_INVOKE"),
        ("signal_wait_started { }", "INVALID_SIGNAL"),
        ("signal_wait_started { signal: 'x' on_conflict: 9 }", "INVALID_SIGNAL"),
        ("signal_sent { signal: 'x' data { data: '{' } }", "INVALID_SIGNAL"),
        ("signal_sent { signal: '" + "x" * 257 + "' }", "INVALID_SIGNAL"),
        ("step_failed { attempt: 1 policy { retries: 21 } }", "INVALID_RETRY"),
    ],
)
def test_what_is_wrong_is_rejected(text: str, reason: str) -> None:
    """And the words say what."""
    report = read(text)
    assert report.problem_reason == reason
    assert report.problem
