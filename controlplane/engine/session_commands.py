"""What the commands of worker streams and polls do in a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core import lifecycle
from controlplane.core.records import Cancellation, Lease, RunRow, SessionRow
from controlplane.core.states import RunState
from controlplane.engine.commands import (
    Connect,
    Disconnect,
    Drain,
    ExpireSessions,
    GrantCredit,
    Heartbeat,
    Release,
    Welcomed,
)
from controlplane.engine.outbox import CLOSED_SILENT, CLOSED_SUPERSEDED
from controlplane.engine.sessions import Session, instance_of
from controlplane.errors import FieldViolation, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controlplane.engine.turn import Turn


def connect(turn: Turn, command: Connect) -> Welcomed:
    """Open a session, give it the leases that it still holds, and end the worker's session before it."""
    function_keys = _function_keys(turn, command)
    row = SessionRow(
        turn.d.ids.make(),
        command.namespace,
        command.app_id,
        command.instance_id,
        command.sdk,
        command.language,
        turn.now,
        turn.now + turn.settings.session_timeout + (command.poll_wait or 0),
        command.poll_wait is not None,
    )
    before = turn.sessions.of_instance(instance_of(row))
    resumed = []
    for lease in command.held:
        run = _held_run(turn, lease, command.namespace)
        if run is not None:
            _move(turn, run, row.id)
            resumed.append(lease)
    if before is not None:
        _end_session(turn, before, CLOSED_SUPERSEDED)
    session = Session(row, function_keys, command.outbox, command.invocation_limit, brought=frozenset(resumed))
    turn.sessions.add(session)
    turn.session_rows[row.id] = row
    return Welcomed(row.id, tuple(resumed))


def disconnect(turn: Turn, command: Disconnect) -> None:
    """Keep the session's leases for a while; a session without any ends at once."""
    session = turn.sessions.edit(command.session_id)
    if session is None:
        return
    session.outbox = None
    if _leased(turn, command.session_id):
        _set_expiry(turn, session, turn.now + turn.settings.patience(session.row))
    else:
        _end_session(turn, command.session_id, "")


def grant_credit(turn: Turn, command: GrantCredit) -> None:
    """Note the worker's free slots. Credit is cumulative: one that is lower than the last counts for nothing."""
    session = turn.sessions.edit(command.session_id)
    if session is not None and command.invocation_limit > session.invocation_limit:
        session.invocation_limit = command.invocation_limit


def heartbeat(turn: Turn, command: Heartbeat) -> None:
    """Renew the session, and mend differences: what it should not hold is to stop, what it lost is queued again."""
    session = turn.sessions.edit(command.session_id)
    if session is None:
        return
    _set_expiry(turn, session, turn.now + turn.settings.session_timeout)
    stop = []
    for lease in command.held:
        run = _held_run(turn, lease, session.row.namespace)
        if run is None:
            stop.append(lease)
        elif run.session_id != session.row.id:
            # The epoch is the run's, so nobody else was given it since: its session was taken for lost too early.
            _move(turn, run, session.row.id)
            session.brought |= {lease}
    turn.delivery(session.row.id).heartbeat_stop = stop
    held = frozenset(command.held)
    leased = {Lease(run.id, run.epoch): run for run in _leased(turn, session.row.id)}
    missing = frozenset(leased) - held
    # An invocation may be on the way while a heartbeat is: only one that two of them lack was lost.
    for lease in missing & session.missing:
        lifecycle.free(turn.d, leased[lease])
        if lease not in session.brought:
            session.invocations_sent -= 1
    session.missing = missing - session.missing


def release(turn: Turn, command: Release) -> None:
    """Queue again what a worker hands back unstarted."""
    session = turn.sessions.get(command.session_id)
    for lease in command.leases:
        run = _held_run(turn, lease, session.row.namespace) if session is not None else None
        if run is not None:
            # It is no sign of a run that kills its workers.
            lifecycle.free(turn.d, run, deliveries=max(run.deliveries - 1, 0))


def drain(turn: Turn, command: Drain) -> None:
    """Hand out nothing more to the session."""
    session = turn.sessions.edit(command.session_id)
    if session is not None:
        session.is_draining = True
        turn.delivery(command.session_id).drained = session.invocations_sent


def expire_sessions(turn: Turn, _command: ExpireSessions) -> int:
    """End the sessions that are past their time."""
    expired = [
        session.row.id
        for session in turn.sessions.table.expired(turn.now)
        if (current := turn.sessions.get(session.row.id)) is not None and current.row.expires_at <= turn.now
    ]
    for session_id in expired:
        _end_session(turn, session_id, CLOSED_SILENT)
    return len(expired)


def renew(turn: Turn, namespace: str, leases: Iterable[Lease]) -> tuple[list[Lease], list[Cancellation]]:
    """Renew the sessions that these leases are of; which leases do not stand any more, and which of these were cancelled.

    A session with a stream has heartbeats of its own, and one with an open poll has all of its time: they are left alone.
    """
    lost, cancellations = [], []
    for lease in dict.fromkeys(leases):
        run = _held_run(turn, lease, namespace)
        if run is None:
            lost.append(lease)
            cancellations += _cancellation(turn, lease, namespace)
            continue
        session = turn.sessions.edit(run.session_id or "")
        if session is not None and session.outbox is None:
            _set_expiry(turn, session, turn.now + turn.settings.session_timeout)
    return lost, cancellations


def _cancellation(turn: Turn, lease: Lease, namespace: str) -> list[Cancellation]:
    """Why its run was cancelled, if it was so since this lease began."""
    run = turn.d.runs.get(lease.run_id)
    if run is None or run.namespace != namespace or run.epoch != lease.epoch or run.state is not RunState.CANCELLED:
        return []
    return [Cancellation(run.id, run.epoch, run.failure.message if run.failure is not None else "")]


def _function_keys(turn: Turn, command: Connect) -> frozenset[int]:
    keys = []
    violations = []
    for index, function_id in enumerate(command.function_ids):
        function = turn.functions.by_name.get((command.namespace, command.app_id, function_id))
        if function is None:
            violations.append(
                FieldViolation(
                    f"hello.function_ids[{index}]",
                    f"app {command.app_id!r} has no function {function_id!r}; call RegisterFunction first",
                )
            )
        else:
            keys.append(function.key)
    if violations:
        raise InvalidArgument(*violations)
    return frozenset(keys)


def _held_run(turn: Turn, lease: Lease, namespace: str) -> RunRow | None:
    """The run of a lease, if that lease is the current one."""
    run = turn.d.runs.get(lease.run_id)
    if run is None or run.namespace != namespace or run.state is not RunState.RUNNING or run.epoch != lease.epoch:
        return None
    return run


def _move(turn: Turn, run: RunRow, session_id: str) -> None:
    """Give a lease to another session, as it is."""
    moved = run._replace(session_id=session_id)
    turn.d.set_run(moved)
    # This session may end in this very turn, and must not take the run with it.
    turn.facts.leases.setdefault(session_id, []).append(moved)


def _leased(turn: Turn, session_id: str) -> list[RunRow]:
    """The runs that a session holds, as they stand in this turn."""
    current = (turn.d.runs[run.id] for run in turn.facts.leases.get(session_id, ()))
    return [run for run in current if run.session_id == session_id and run.state is RunState.RUNNING]


def _set_expiry(turn: Turn, session: Session, expires_at: int) -> None:
    session.row = session.row._replace(expires_at=expires_at)
    turn.session_rows[session.row.id] = session.row


def _end_session(turn: Turn, session_id: str, reason: str) -> None:
    for run in _leased(turn, session_id):
        lifecycle.free(turn.d, run)
    session = turn.sessions.get(session_id)
    if session is not None and session.outbox is not None and reason:
        turn.delivery(session_id).closed = reason
        turn.farewells[session_id] = session.outbox
    turn.sessions.remove(session_id)
    turn.session_rows[session_id] = None
