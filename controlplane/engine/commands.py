"""Everything that can be asked of the engine: frozen commands, and what each answers.

A command is submitted through the `Mailbox` and is decided by the committer's thread in some turn. Its future is
resolved after the commit of that turn, or fails with a `SteplaneError` if the command alone was refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from controlplane.core.definition import Definition, FunctionState
from controlplane.core.records import Ack, Cancellation, Lease, NewEvent, Report
from controlplane.engine.outbox import Outbox


class SentEvents(NamedTuple):
    """The answer to `SendEvents`."""

    ids: list[str]
    duplicates: int


class Registered(NamedTuple):
    """The answer to `RegisterFunction`."""

    version: int
    warnings: tuple[str, ...]


class Triggered(NamedTuple):
    """The answer to `TriggerFunction`. The run id is empty if the event id was a duplicate."""

    event_id: str
    run_id: str


class Welcomed(NamedTuple):
    """The answer to `Connect`."""

    session_id: str
    resumed: tuple[Lease, ...]


class Reported(NamedTuple):
    """The answer to `ReportOnce`."""

    acks: list[Ack]
    """One a report, in their order."""
    stop: list[Lease]
    """Those of the held leases that do not stand any more."""
    cancellations: list[Cancellation]
    """Of all leases that it named, those whose run was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendEvents:
    """Make events durable and start what they trigger. Answers `SentEvents`."""

    namespace: str
    events: tuple[NewEvent, ...]
    size: int
    """Bytes, for back-pressure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterFunction:
    """Register a function, or replace its definition. Answers `Registered`."""

    namespace: str
    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerFunction:
    """Start one run of a function. Answers `Triggered`; raises `NotFound`."""

    namespace: str
    app_id: str
    """May be empty if the function's id is unique in the namespace."""
    function_id: str
    event: NewEvent
    """Its name is filled in by the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRun:
    """Cancel a run. Answers `None`; raises `NotFound`, or `FailedPrecondition` if the run has ended."""

    namespace: str
    run_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRuns:
    """Cancel those of these runs that have not ended. Answers how many that were."""

    namespace: str
    run_ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRun:
    """Start a run again, from the same events. Answers the new run's id.

    With a step, the steps recorded before it are taken over, and with an output the step itself. Raises `NotFound`, or
    `FailedPrecondition` if the function was deleted.
    """

    namespace: str
    run_id: str
    step_key: str = ""
    output: bytes | None = None
    encoding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRuns:
    """Start those of these runs again that have ended. Answers how many that were."""

    namespace: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRun:
    """Queue a run again that was set aside. Answers `None`; raises `NotFound`, or `FailedPrecondition`."""

    namespace: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSignal:
    """Send a signal to the step that waits for it. Answers the id of its run; raises `NotFound`."""

    namespace: str
    signal: str
    data: bytes
    encoding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFunctionState:
    """Pause, disable, delete a function, or let it go on. Answers `None`.

    Raises `NotFound`, or `FailedPrecondition` if it is to be deleted and a live worker serves it.
    """

    namespace: str
    app_id: str
    """May be empty if the function's id is unique in the namespace."""
    function_id: str
    state: FunctionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Open a session. Answers `Welcomed`; raises `InvalidArgument` for a function that is not registered.

    From then on, effects for the session come through `outbox`.
    """

    namespace: str
    app_id: str
    function_ids: tuple[str, ...]
    instance_id: str
    sdk: str
    language: str
    held: tuple[Lease, ...]
    outbox: Outbox
    poll_wait: int | None = None
    """If this is a poll, and no stream: how long it waits. Its leases outlive it by the session's time-out."""
    invocation_limit: int = 0
    """Credit that is granted with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """A stream or a poll ended: the session's leases stand for a while yet, so that the worker can resume them."""

    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantCredit:
    """The worker can take so many invocations, counted from the stream's start."""

    session_id: str
    invocation_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitReports:
    """Reports of a worker, in order. Their acks go to the session's outbox."""

    session_id: str
    namespace: str
    reports: tuple[Report, ...]
    size: int
    """Bytes, for back-pressure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOnce:
    """Reports of a single call, in order, and a sign of life of the workers whose leases it names. Answers `Reported`.

    It belongs to no session: whoever knows a lease may report on it.
    """

    namespace: str
    reports: tuple[Report, ...]
    held: tuple[Lease, ...]
    size: int
    """Bytes, for back-pressure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life, with all that the worker holds. The answer goes to the session's outbox."""

    session_id: str
    held: tuple[Lease, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Invocations handed back unstarted."""

    session_id: str
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """The worker wants no more invocations. The answer goes to the session's outbox."""

    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FireTimers:
    """Do what is due. Answers how many timers were fired; as many as asked for means that there may be more."""

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireSessions:
    """Queue again the runs of sessions that are past their time. Answers how many sessions that were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Delete what is older than retention keeps. Answers a `store.interface.Swept`."""

    before: int
    limit: int
    run_cursor: str
    event_cursor: int


Command: TypeAlias = (
    SendEvents
    | RegisterFunction
    | TriggerFunction
    | CancelRun
    | CancelRuns
    | ReplayRun
    | ReplayRuns
    | ReleaseRun
    | SendSignal
    | SetFunctionState
    | Connect
    | Disconnect
    | GrantCredit
    | SubmitReports
    | ReportOnce
    | Heartbeat
    | Release
    | Drain
    | FireTimers
    | ExpireSessions
    | Sweep
)
