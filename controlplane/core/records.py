"""The rows, and what else passes between the stations.

Rows of the hot path are `NamedTuple`s: they are what a cursor yields, and cost half as much as dataclasses. All moments
are microseconds since 1970 (UTC), all durations microseconds. `key` is a store's own integer, `id` is public text.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from controlplane.core.states import RunState, StepKind, StepState


class Failure(NamedTuple):
    """An error raised by a user's code, as the SDK saw it."""

    name: str
    message: str
    stack: str = ""
    step_key: str = ""


class EventRow(NamedTuple):
    """An event as it is stored."""

    key: int
    namespace: str
    id: str
    name: str
    data: bytes
    encoding: str
    ts: int
    received_at: int
    traceparent: str
    tracestate: str
    source_run_id: str | None = None
    source_step_key: str | None = None


class RunRow(NamedTuple):
    """A run as it is stored."""

    id: str
    namespace: str
    function_key: int
    event_key: int
    created_at: int
    traceparent: str
    tracestate: str
    state: RunState = RunState.QUEUED
    epoch: int = 0
    attempt: int = 0
    deliveries: int = 0
    """Leases since the last report; apart from attempts, to know a run that kills its workers."""
    session_id: str | None = None
    """Who holds the lease; set while RUNNING only."""
    queued_at: int = 0
    """Its place in the queue of its function."""
    due_at: int | None = None
    """While WAITING: when its earliest timer is due."""
    started_at: int | None = None
    ended_at: int | None = None
    step_count: int = 0
    journal_bytes: int = 0
    has_timers: bool = False
    """Whether timers were ever made for it, which are to be deleted when it ends."""
    output: bytes | None = None
    output_encoding: str = ""
    failure: Failure | None = None


def with_progress(run: RunRow, *, step_count: int, journal_bytes: int, has_timers: bool) -> RunRow:
    """A run after a step of it was recorded. Three times as fast as `_replace`, which this is done too often for."""
    return RunRow._make(
        (
            *run[:_DELIVERIES],
            0,
            *run[_DELIVERIES + 1 : _STEP_COUNT],
            step_count,
            journal_bytes,
            has_timers,
            *run[_OUTPUT:],
        )
    )


def with_lease(run: RunRow, *, state: RunState, session_id: str, started_at: int) -> RunRow:
    """A run as it is leased, with the next epoch; see `with_progress`."""
    return RunRow._make(
        (
            *run[:_STATE],
            state,
            run.epoch + 1,
            run.attempt,
            run.deliveries + 1,
            session_id,
            run.queued_at,
            run.due_at,
            started_at,
            *run[_STARTED_AT + 1 :],
        )
    )


_STATE: Final = RunRow._fields.index("state")
_DELIVERIES: Final = RunRow._fields.index("deliveries")
_STARTED_AT: Final = RunRow._fields.index("started_at")
_STEP_COUNT: Final = RunRow._fields.index("step_count")
_OUTPUT: Final = RunRow._fields.index("output")


class JournalRow(NamedTuple):
    """One recorded step of a run, as it is stored."""

    run_id: str
    step_key: str
    kind: StepKind
    state: StepState
    attempts: int = 0
    output: bytes | None = None
    output_encoding: str = ""
    failure: Failure | None = None
    started_at: int = 0
    ended_at: int | None = None
    due_at: int | None = None
    event_ids: tuple[str, ...] = ()


class TimerKind(IntEnum):
    """What a timer is for; `TimerRow` tells what subject and detail are."""

    EVENT = 1
    """A delayed event: subject is its key as text."""
    STEP = 2
    """A sleep ends or a step is to be tried again: subject is the run's id, detail the step's key."""
    RUN = 3
    """A body is to be tried again: subject is the run's id."""
    CRON = 4
    """A tick: subject is the function's key as text, detail the trigger as `cron time_zone`."""


class TimerRow(NamedTuple):
    """One moment that something waits for. Unique by kind, subject, detail and due time."""

    due_at: int
    kind: TimerKind
    subject: str
    detail: str = ""


class SessionRow(NamedTuple):
    """One StreamWork stream of one worker, and until when its leases stand without another sign of life."""

    id: str
    namespace: str
    app_id: str
    instance_id: str
    sdk: str
    language: str
    connected_at: int
    expires_at: int


class EventTrigger(NamedTuple):
    """Starts a run for each event of a name; a "*" at the end matches any rest."""

    event: str
    expression: str = ""


class CronTrigger(NamedTuple):
    """Starts a run at each tick of a schedule."""

    cron: str
    time_zone: str = "UTC"


class RetryPolicy(NamedTuple):
    """How often and when something that failed is tried again."""

    retries: int
    delays: tuple[int, ...]
    jitter: int


class Definition(NamedTuple):
    """A function as its app defines it; every default is filled in."""

    app_id: str
    function_id: str
    name: str
    triggers: tuple[EventTrigger | CronTrigger, ...]
    retry: RetryPolicy


class FunctionRow(NamedTuple):
    """A function as it is stored."""

    key: int
    namespace: str
    definition: Definition
    version: int
    created_at: int
    updated_at: int


class NewEvent(NamedTuple):
    """An event on its way in, validated. Empty texts and a `ts` of `None` are filled in by ingest."""

    id: str
    name: str
    data: bytes
    encoding: str
    ts: int | None
    traceparent: str
    tracestate: str


class ReportKind(IntEnum):
    """What a report tells."""

    STEP_COMPLETED = 1
    STEP_FAILED = 2
    SLEEP_STARTED = 3
    EVENTS_SENT = 4
    RUN_COMPLETED = 5
    RUN_FAILED = 6
    RUN_PARKED = 7


class Report(NamedTuple):
    """One fact that a worker tells of a run, validated in form. Which fields count follows from `kind`."""

    kind: ReportKind
    run_id: str
    epoch: int
    step_key: str = ""
    started_at: int = 0
    output: bytes = b""
    encoding: str = ""
    failure: Failure | None = None
    attempt: int = 0
    retry_never: bool = False
    retry_after: int | None = None
    sleep_for: int | None = None
    sleep_until: int | None = None
    events: tuple[NewEvent, ...] = ()
    blocked_by: tuple[str, ...] = ()
    problem_reason: str = ""
    problem: str = ""
    """What is wrong with its form: it is rejected with this text, and nothing else of it counts."""


class AckStatus(IntEnum):
    """What became of a report. The numbers are those of the wire."""

    COMMITTED = 1
    DUPLICATE = 2
    STALE_EPOCH = 3
    RUN_ENDED = 4
    REJECTED = 5


class Ack(NamedTuple):
    """The answer to one report."""

    run_id: str
    epoch: int
    step_key: str
    status: AckStatus
    entry: JournalRow | None = None
    """The step as recorded, where the worker can't know it."""
    reason: str = ""
    message: str = ""


class Lease(NamedTuple):
    """The right to report on a run, while its epoch is the run's."""

    run_id: str
    epoch: int


class Resolution(NamedTuple):
    """A step that became ready while its run's invocation is live."""

    run_id: str
    epoch: int
    entry: JournalRow


class Cancellation(NamedTuple):
    """An invocation that is to stop, since its run has ended."""

    run_id: str
    epoch: int
    reason: str


class Invocation(NamedTuple):
    """One lease, with all that the worker needs."""

    run: RunRow
    function_id: str
    events: tuple[EventRow, ...]
    journal: tuple[JournalRow, ...]
    attempts_max: int
