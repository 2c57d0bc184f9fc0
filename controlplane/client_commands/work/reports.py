"""What was said on the command line → what one call reports, or the lease that it only renews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from controlplane.client_commands.message_json import to_message
from controlplane.client_commands.problems import Wrong
from controlplane.gen.steplane.v1 import payload_pb2, work_pb2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options say happened; what is not there was not said."""

    step_key: str = ""
    output: bytes | None = None
    text: str | None = None
    events: object = None
    sleep: timedelta | None = None
    fail: tuple[str, str] | None = None
    attempt: int | None = None
    never: bool = False
    retry_after: timedelta | None = None
    park: tuple[str, ...] = ()
    complete: bytes | None = None


class Call(NamedTuple):
    """What one call says."""

    reports: list[work_pb2.Report]
    held: list[work_pb2.Lease]


def call_of(data: object, options: Options, *, run_id: str, epoch: int) -> Call:
    """The call for a lease, and for whatever leases the JSON names itself. Raises `Wrong` if it makes no sense."""
    if data is not None and options != Options():
        raise Wrong("the JSON and options that say what happened exclude each other", remedy="Leave out one of them.")
    made = _given(data) if data is not None else [*_of_step(options), *_of_run(options)]
    for report in made:
        report.run_id = report.run_id or run_id
        report.epoch = report.epoch or epoch
    leases = [(report.run_id, report.epoch) for report in made] or [(run_id, epoch)]
    if not all(map(all, leases)):
        raise Wrong(
            "which run?",
            remedy="Give --run and --epoch, which `steplane work poll` printed; or set STEPLANE_RUN and STEPLANE_EPOCH, "
            "as `steplane work poll --shell` does.",
        )
    return Call(made, [] if made else [work_pb2.Lease(run_id=run_id, epoch=epoch)])


def _given(data: object) -> list[work_pb2.Report]:
    items = data if isinstance(data, list) else [data]
    return [to_message(item, work_pb2.Report(), what="a Report") for item in items]


def _of_step(options: Options) -> Iterator[work_pb2.Report]:
    bodies = (options.output, options.text, options.events, options.sleep)
    said = sum(body is not None for body in bodies)
    if not options.step_key:
        if said or options.attempt is not None:
            raise Wrong("which step?", remedy="Give it with --step.")
        return
    if said + (options.fail is not None) != 1:
        raise Wrong(
            "what became of the step?",
            remedy="Give one of --output, --text, --send-events, --sleep and --fail with --step.",
        )
    report = work_pb2.Report(step_key=options.step_key)
    if options.fail is not None:
        if options.attempt is None:
            raise Wrong(
                "which try of the step failed?",
                remedy="Give --attempt: 1, or one more than the attempts that the journal tells of the step.",
            )
        failure, retry = _failure(options)
        report.step_failed.MergeFrom(work_pb2.StepFailed(failure=failure, retry=retry, attempt=options.attempt))
    elif options.sleep is not None:
        report.sleep_started.duration.FromTimedelta(options.sleep)
    elif options.events is not None:
        events = options.events if isinstance(options.events, list) else [options.events]
        to_message({"events": events}, report.events_sent, what="an event, or a list of events")
    else:
        text = json.dumps(options.text).encode()
        output = payload_pb2.Payload(data=options.output if options.output is not None else text)
        report.step_completed.MergeFrom(work_pb2.StepCompleted(output=output, attempt=options.attempt or 1))
    yield report


def _of_run(options: Options) -> Iterator[work_pb2.Report]:
    has_failed = options.fail is not None and not options.step_key
    if has_failed + bool(options.park) + (options.complete is not None) > 1:
        raise Wrong("a run ends in one way", remedy="Give one of --complete, --park, and --fail without --step.")
    if options.fail is None and (options.never or options.retry_after is not None):
        raise Wrong("--never and --retry-after go with --fail")
    if has_failed:
        failure, retry = _failure(options)
        yield work_pb2.Report(run_failed=work_pb2.RunFailed(failure=failure, retry=retry))
    elif options.park:
        yield work_pb2.Report(run_parked=work_pb2.RunParked(blocked_by=options.park))
    elif options.complete is not None:
        output = payload_pb2.Payload(data=options.complete)
        yield work_pb2.Report(run_completed=work_pb2.RunCompleted(output=output))


def _failure(options: Options) -> tuple[payload_pb2.Failure, work_pb2.RetryDirective | None]:
    name, message = options.fail or ("", "")
    failure = payload_pb2.Failure(name=name, message=message, step_key=options.step_key)
    if options.never and options.retry_after is not None:
        raise Wrong("--never and --retry-after exclude each other", remedy="Leave out one of them.")
    if options.never:
        return failure, work_pb2.RetryDirective(never=True)
    if options.retry_after is not None:
        retry = work_pb2.RetryDirective()
        retry.after.FromTimedelta(options.retry_after)
        return failure, retry
    return failure, None
