"""Which reports count: fencing by epoch, duplicates by step key, and what a step must not do.

A report is judged against the run and the step as they stand; `None` means that it is to be carried out.
"""

from __future__ import annotations

from typing import Final

from controlplane.core.limits import Limits
from controlplane.core.records import Ack, AckStatus, JournalRow, Report, ReportKind, RunRow
from controlplane.core.states import ENDED, RunState, StepKind, StepState

STEP_KINDS: Final = {
    ReportKind.STEP_COMPLETED: StepKind.RUN,
    ReportKind.STEP_FAILED: StepKind.RUN,
    ReportKind.SLEEP_STARTED: StepKind.SLEEP,
    ReportKind.EVENTS_SENT: StepKind.SEND_EVENTS,
    ReportKind.WAIT_STARTED: StepKind.WAIT_FOR_EVENT,
    ReportKind.INVOKE_STARTED: StepKind.INVOKE,
    ReportKind.SIGNAL_WAIT_STARTED: StepKind.WAIT_FOR_SIGNAL,
    ReportKind.SIGNAL_SENT: StepKind.SEND_SIGNAL,
}
_ENDING: Final = {
    ReportKind.RUN_COMPLETED: RunState.COMPLETED,
    ReportKind.RUN_FAILED: RunState.FAILED,
}
_PARKING: Final = frozenset({ReportKind.RUN_PARKED, ReportKind.RUN_FAILED})


def judge(report: Report, namespace: str, run: RunRow | None, entry: JournalRow | None, limits: Limits) -> Ack | None:
    """The refusal of a report, or `None` if it counts. `entry` is the step of that key, if it is recorded."""
    if report.problem:
        return _reject(report, report.problem_reason, report.problem)
    if run is None or run.namespace != namespace:
        return _reject(report, "RUN_NOT_FOUND", f"there is no run {report.run_id!r}")
    kind = STEP_KINDS.get(report.kind)
    if run.state is not RunState.RUNNING or run.epoch != report.epoch:
        return _judge_without_lease(report, run, entry, kind)
    if kind is None:
        return None
    if entry is not None:
        refusal = _judge_recorded(report, entry, kind)
        if refusal is not None:
            return refusal
    elif run.step_count >= limits.run_steps_max:
        return _reject(report, "TOO_MANY_STEPS", f"a run can have {limits.run_steps_max} steps; split it up")
    if run.journal_bytes + len(report.output) > limits.journal_bytes_max:
        return _reject(
            report,
            "JOURNAL_TOO_LARGE",
            f"the outputs of a run's steps can have {limits.journal_bytes_max} bytes in all; keep large values elsewhere",
        )
    return None


def _judge_without_lease(report: Report, run: RunRow, entry: JournalRow | None, kind: StepKind | None) -> Ack:
    if report.epoch == run.epoch:
        if entry is not None and entry.kind is kind and _is_recorded(report, entry):
            return Ack(report.run_id, report.epoch, report.step_key, AckStatus.DUPLICATE, entry)
        if _ENDING.get(report.kind) is run.state:
            return Ack(report.run_id, report.epoch, report.step_key, AckStatus.DUPLICATE)
        if run.state is RunState.WAITING and report.kind in _PARKING:
            return Ack(report.run_id, report.epoch, report.step_key, AckStatus.DUPLICATE)
    status = AckStatus.RUN_ENDED if run.state in ENDED else AckStatus.STALE_EPOCH
    return Ack(report.run_id, report.epoch, report.step_key, status)


def _judge_recorded(report: Report, entry: JournalRow, kind: StepKind) -> Ack | None:
    if entry.kind is not kind:
        return _reject(
            report,
            "NON_DETERMINISM",
            f"step {report.step_key!r} is recorded as {entry.kind.name}, but is reported as {kind.name}",
        )
    if _is_recorded(report, entry):
        return Ack(report.run_id, report.epoch, report.step_key, AckStatus.DUPLICATE, entry)
    return None


def _is_recorded(report: Report, entry: JournalRow) -> bool:
    if entry.state is StepState.RETRYING:
        return report.kind is ReportKind.STEP_FAILED and report.attempt <= entry.attempts
    return True


def _reject(report: Report, reason: str, message: str) -> Ack:
    return Ack(report.run_id, report.epoch, report.step_key, AckStatus.REJECTED, None, reason, message)
