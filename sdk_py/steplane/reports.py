"""Reports: one fact about a run each, as the bytes that are kept until the ack comes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from steplane.codec import encode_duration, encode_moment
from steplane.failures import directive_of, failure_of
from steplane.gen.steplane.v1 import event_pb2, work_pb2
from steplane.replay.machine import Machine, StepCall
from steplane.retry import Retry, policy_of


def step_completed(call: StepCall, data: bytes, *, start_ns: int) -> bytes:
    """A try of a step returned."""
    seconds, nanos = divmod(start_ns, 1_000_000_000)
    return work_pb2.Report(
        run_id=call.machine.run_id,
        epoch=call.machine.epoch,
        step_key=call.key,
        start_time={"seconds": seconds, "nanos": nanos},  # a dict is faster than a message
        step_completed={"output": {"data": data}, "attempt": call.attempts + 1},
    ).SerializeToString()


def step_failed(call: StepCall, error: BaseException, *, retry: Retry | None, start_ns: int, now_ns: int) -> bytes:
    """A try of a step raised an error."""
    report = _report(call, start_ns=start_ns)
    if retry is not None:
        report.step_failed.policy.CopyFrom(policy_of(retry))
    report.step_failed.failure.CopyFrom(failure_of(error, step_key=call.key))
    report.step_failed.attempt = call.attempts + 1
    directive = directive_of(error, now_ns=now_ns)
    if directive is not None:
        report.step_failed.retry.CopyFrom(directive)
    return report.SerializeToString()


def sleep_started(call: StepCall, until: timedelta | datetime, *, start_ns: int) -> bytes:
    """A sleep begins."""
    report = _report(call, start_ns=start_ns)
    if isinstance(until, timedelta):
        report.sleep_started.duration.CopyFrom(encode_duration(until))
    else:
        report.sleep_started.due_time.CopyFrom(encode_moment(until))
    return report.SerializeToString()


def events_sent(call: StepCall, events: Iterable[event_pb2.Event], *, start_ns: int) -> bytes:
    """A step sends events."""
    report = _report(call, start_ns=start_ns)
    report.events_sent.events.extend(events)
    return report.SerializeToString()


def wait_started(call: StepCall, wait: work_pb2.WaitStarted, *, start_ns: int) -> bytes:
    """A wait for an event begins."""
    report = _report(call, start_ns=start_ns)
    report.wait_started.CopyFrom(wait)
    return report.SerializeToString()


def invoke_started(call: StepCall, invoke: work_pb2.InvokeStarted, *, start_ns: int) -> bytes:
    """Another function is invoked."""
    report = _report(call, start_ns=start_ns)
    report.invoke_started.CopyFrom(invoke)
    return report.SerializeToString()


def signal_wait_started(call: StepCall, wait: work_pb2.SignalWaitStarted, *, start_ns: int) -> bytes:
    """A wait for a signal begins."""
    report = _report(call, start_ns=start_ns)
    report.signal_wait_started.CopyFrom(wait)
    return report.SerializeToString()


def signal_sent(call: StepCall, signal: work_pb2.SignalSent, *, start_ns: int) -> bytes:
    """A step sends a signal."""
    report = _report(call, start_ns=start_ns)
    report.signal_sent.CopyFrom(signal)
    return report.SerializeToString()


def run_completed(machine: Machine, data: bytes, *, start_ns: int) -> bytes:
    """The function returned."""
    seconds, nanos = divmod(start_ns, 1_000_000_000)
    return work_pb2.Report(
        run_id=machine.run_id,
        epoch=machine.epoch,
        start_time={"seconds": seconds, "nanos": nanos},  # a dict is faster than a message
        run_completed={"output": {"data": data}},
    ).SerializeToString()


def run_failed(run_id: str, epoch: int, error: BaseException, *, start_ns: int, now_ns: int) -> bytes:
    """The function raised an error."""
    report = work_pb2.Report(run_id=run_id, epoch=epoch)
    report.start_time.seconds, report.start_time.nanos = divmod(start_ns, 1_000_000_000)
    report.run_failed.failure.CopyFrom(failure_of(error))
    directive = directive_of(error, now_ns=now_ns)
    if directive is not None:
        report.run_failed.retry.CopyFrom(directive)
    return report.SerializeToString()


def run_parked(machine: Machine, blocked_by: Iterable[str]) -> bytes:
    """Every branch is blocked."""
    return work_pb2.Report(
        run_id=machine.run_id,
        epoch=machine.epoch,
        run_parked={"blocked_by": blocked_by},  # a dict is faster than a message
    ).SerializeToString()


def _report(call: StepCall, *, start_ns: int) -> work_pb2.Report:
    report = work_pb2.Report(run_id=call.machine.run_id, epoch=call.machine.epoch, step_key=call.key)
    report.start_time.seconds, report.start_time.nanos = divmod(start_ns, 1_000_000_000)
    return report
