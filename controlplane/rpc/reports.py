"""A worker's frames → records. A report that is wrong in form becomes one with a `problem`: it harms none beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.core.definition import RetryPolicy
from controlplane.core.limits import (
    DAY,
    FAILURE_TEXT_BYTES_MAX,
    ID_BYTES_MAX,
    NAME_BYTES_MAX,
    RUN_STEPS_CEILING,
    SECOND,
    SLEEP_MAX,
    Limits,
)
from controlplane.core.records import Failure, Lease, Report, ReportKind
from controlplane.core.requests import Request
from controlplane.gen.steplane.v1 import payload_pb2, work_pb2
from controlplane.rpc import validate, wait_reports
from controlplane.rpc.translate import duration_of, moment_of, new_events, retry_of
from controlplane.rpc.wait_reports import Wrong

_NULL: Final = b"null"
_JSON: Final = ("", "json")


def leases_of(messages: Iterable[work_pb2.Lease]) -> tuple[Lease, ...]:
    """Leases, as a worker lists them."""
    return tuple([Lease(message.run_id, message.epoch) for message in messages])


def reports_of(messages: Iterable[work_pb2.Report], limits: Limits, now: int) -> tuple[Report, ...]:
    """Reports, each checked in form."""
    return tuple([_report_of(message, limits, now) for message in messages])


def _report_of(message: work_pb2.Report, limits: Limits, now: int) -> Report:
    try:
        return _BODIES[message.WhichOneof("body")](message, limits, now)
    except Wrong as wrong:
        return Report(
            ReportKind.STEP_COMPLETED,
            message.run_id,
            message.epoch,
            message.step_key,
            problem_reason=wrong.reason,
            problem=str(wrong),
        )


def _step_completed(message: work_pb2.Report, limits: Limits, now: int) -> Report:
    body = message.step_completed
    step_key = _step_key(message)
    attempt = body.attempt
    if attempt < 1:
        raise _no_attempt()
    data, encoding = _output(body.output, limits)
    return Report(
        ReportKind.STEP_COMPLETED,
        message.run_id,
        message.epoch,
        step_key,
        _started_at(message.start_time, now),
        data,
        encoding,
        None,
        attempt,
    )


def _step_failed(message: work_pb2.Report, _limits: Limits, now: int) -> Report:
    body = message.step_failed
    step_key = _step_key(message)
    if body.attempt < 1:
        raise _no_attempt()
    never, after = _retry(body.retry)
    return Report(
        ReportKind.STEP_FAILED,
        message.run_id,
        message.epoch,
        step_key,
        _started_at(message.start_time, now),
        failure=_failure(body.failure),
        attempt=body.attempt,
        retry_never=never,
        retry_after=after,
        policy=_policy(body),
    )


def _policy(body: work_pb2.StepFailed) -> RetryPolicy | None:
    if not body.HasField("policy"):
        return None
    for field, problem in validate.retry_problems(body.policy, "policy"):
        raise Wrong("INVALID_RETRY", f"{field} {problem}")
    return retry_of(body.policy)


def _sleep_started(message: work_pb2.Report, _limits: Limits, now: int) -> Report:
    body = message.sleep_started
    step_key = _step_key(message)
    sleep_for = sleep_until = None
    match body.WhichOneof("until"):
        case "duration":
            sleep_for = duration_of(body.duration)
            is_right = 0 <= sleep_for <= SLEEP_MAX
        case "due_time":
            sleep_until = moment_of(body.due_time)
            is_right = sleep_until <= now + SLEEP_MAX
            sleep_until = max(sleep_until, 0)
        case _:
            is_right = False
    if not is_right:
        raise Wrong("INVALID_DURATION", f"a sleep takes from 0 to {SLEEP_MAX // DAY} days")
    return Report(
        ReportKind.SLEEP_STARTED,
        message.run_id,
        message.epoch,
        step_key,
        _started_at(message.start_time, now),
        sleep_for=sleep_for,
        sleep_until=sleep_until,
    )


def _events_sent(message: work_pb2.Report, limits: Limits, now: int) -> Report:
    body = message.events_sent
    step_key = _step_key(message)
    _refuse_events(validate.batch(len(body.events), body.ByteSize(), limits))
    events = new_events(body.events)
    _refuse_events(validate.events(events, limits, now))
    return Report(
        ReportKind.EVENTS_SENT,
        message.run_id,
        message.epoch,
        step_key,
        _started_at(message.start_time, now),
        events=events,
    )


def _wait_started(message: work_pb2.Report, _limits: Limits, now: int) -> Report:
    return _with_request(message, ReportKind.WAIT_STARTED, wait_reports.wait(message.wait_started, now), now)


def _invoke_started(message: work_pb2.Report, limits: Limits, now: int) -> Report:
    return _with_request(message, ReportKind.INVOKE_STARTED, wait_reports.invoke(message.invoke_started, limits), now)


def _signal_wait_started(message: work_pb2.Report, _limits: Limits, now: int) -> Report:
    request = wait_reports.signal_wait(message.signal_wait_started)
    return _with_request(message, ReportKind.SIGNAL_WAIT_STARTED, request, now)


def _signal_sent(message: work_pb2.Report, limits: Limits, now: int) -> Report:
    body = message.signal_sent
    return _with_request(message, ReportKind.SIGNAL_SENT, wait_reports.signal(body.signal, body.data, limits), now)


def _with_request(message: work_pb2.Report, kind: ReportKind, request: Request, now: int) -> Report:
    return Report(
        kind,
        message.run_id,
        message.epoch,
        _step_key(message),
        _started_at(message.start_time, now),
        request=request,
    )


def _run_completed(message: work_pb2.Report, limits: Limits, now: int) -> Report:
    _check_no_step_key(message)
    data, encoding = _output(message.run_completed.output, limits)
    return Report(
        ReportKind.RUN_COMPLETED,
        message.run_id,
        message.epoch,
        "",
        _started_at(message.start_time, now),
        data,
        encoding,
    )


def _run_failed(message: work_pb2.Report, _limits: Limits, now: int) -> Report:
    _check_no_step_key(message)
    body = message.run_failed
    never, after = _retry(body.retry)
    return Report(
        ReportKind.RUN_FAILED,
        message.run_id,
        message.epoch,
        "",
        _started_at(message.start_time, now),
        failure=_failure(body.failure),
        retry_never=never,
        retry_after=after,
    )


def _run_parked(message: work_pb2.Report, _limits: Limits, _now: int) -> Report:
    _check_no_step_key(message)
    blocked_by = tuple(message.run_parked.blocked_by)
    # A run that is blocked by nothing would never be woken.
    if not 1 <= len(blocked_by) <= RUN_STEPS_CEILING:
        raise Wrong(
            "INVALID_BLOCKED_BY", f"blocked_by has {len(blocked_by)} step keys; it needs 1 to {RUN_STEPS_CEILING}"
        )
    return Report(ReportKind.RUN_PARKED, message.run_id, message.epoch, blocked_by=blocked_by)


def _unknown(_message: work_pb2.Report, _limits: Limits, _now: int) -> Report:
    raise Wrong("UNKNOWN_BODY", "the report has no body that this server knows")


_BODIES: Final[dict[str | None, Callable[[work_pb2.Report, Limits, int], Report]]] = {
    "step_completed": _step_completed,
    "step_failed": _step_failed,
    "sleep_started": _sleep_started,
    "events_sent": _events_sent,
    "run_completed": _run_completed,
    "run_failed": _run_failed,
    "run_parked": _run_parked,
    "wait_started": _wait_started,
    "invoke_started": _invoke_started,
    "signal_wait_started": _signal_wait_started,
    "signal_sent": _signal_sent,
    None: _unknown,
}


def _step_key(message: work_pb2.Report) -> str:
    step_key = message.step_key
    problem = validate.step_key_problem(step_key)
    if problem is not None:
        raise Wrong("INVALID_STEP_KEY", f"step_key {problem}")
    return step_key


def _check_no_step_key(message: work_pb2.Report) -> None:
    if message.step_key:
        raise Wrong("INVALID_STEP_KEY", "an outcome has no step_key")


def _no_attempt() -> Wrong:
    return Wrong("INVALID_ATTEMPT", "attempt is required; the first try is 1")


def _output(message: payload_pb2.Payload, limits: Limits) -> tuple[bytes, str]:
    problem = output_problem(message, limits)
    if problem is not None:
        is_large = len(message.data) > limits.step_output_bytes_max
        raise Wrong("OUTPUT_TOO_LARGE" if is_large else "INVALID_OUTPUT", f"the output {problem}")
    return message.data or _NULL, message.encoding


def output_problem(message: payload_pb2.Payload, limits: Limits) -> str | None:
    """What is wrong with the output of a step or a run."""
    data, encoding = message.data or _NULL, message.encoding
    if len(data) > limits.step_output_bytes_max:
        return f"has {len(data)} bytes; {limits.step_output_bytes_max} are the most. Keep large values elsewhere"
    return validate.encoding_problem(encoding) if encoding not in _JSON else validate.json_problem(data)


def _refuse_events(found: validate.Violations) -> None:
    if found:
        raise Wrong("INVALID_EVENTS", "; ".join(f"{field}: {problem}" for field, problem in found))


def _started_at(message: Timestamp, now: int) -> int:
    # It is for people only: what can't be is left out.
    moment = message.seconds * SECOND + message.nanos // 1000
    return moment if 0 <= moment <= now + DAY else 0


def _retry(message: work_pb2.RetryDirective) -> tuple[bool, int | None]:
    match message.WhichOneof("directive"):
        case "never":
            return message.never, None
        case "after":
            return False, duration_of(message.after)
        case _:
            return False, None


def _failure(message: payload_pb2.Failure) -> Failure:
    # Never refused: a failure that can't be told would be a failure without an end.
    return Failure(
        _clip(message.name, NAME_BYTES_MAX),
        _clip(message.message, FAILURE_TEXT_BYTES_MAX),
        _clip(message.stack, FAILURE_TEXT_BYTES_MAX),
        _clip(message.step_key, ID_BYTES_MAX),
    )


def _clip(text: str, bytes_max: int) -> str:
    if len(text) * 4 <= bytes_max or len(encoded := text.encode()) <= bytes_max:
        return text
    return encoded[: bytes_max - 3].decode(errors="ignore") + "…"
