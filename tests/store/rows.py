"""Rows to store: each builder fills in what a test does not care about."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controlplane.core.definition import CronTrigger, Definition, EventTrigger, FunctionRow, RetryPolicy
from controlplane.core.ids import Ids
from controlplane.core.limits import SECOND
from controlplane.core.records import EventRow, Failure, JournalRow, RunRow, SessionRow, TimerKind, TimerRow
from controlplane.core.states import RunState, StepKind, StepState
from controlplane.store.interface import Store, Tx

NOW = 1_790_000_000 * SECOND
TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
FAILURE = Failure("ValueError", 'bad "input"\n\0', "line 1\nline 2 ✓", "load#0")


@contextmanager
def committing(store: Store) -> Iterator[Tx]:
    """A transaction that is committed in the end."""
    with store.begin() as tx:
        yield tx
        tx.commit()


def ids(count: int, *, at: int = NOW) -> list[str]:
    """Ids made at a moment, in order."""
    made = Ids(at, random.Random(at))
    return [made.make() for _ in range(count)]


def event(key: int, **fields: Any) -> EventRow:
    """An event."""
    row = EventRow(
        key=key,
        namespace="default",
        id=f"event-{key}",
        name="shop/order.created",
        data=b'{"order": 1}',
        encoding="json",
        ts=NOW,
        received_at=NOW,
        traceparent=TRACE,
        tracestate="",
    )
    return row._replace(**fields)


def run(id_: str, **fields: Any) -> RunRow:
    """A queued run."""
    row = RunRow(
        id=id_,
        namespace="default",
        function_key=1,
        event_key=1,
        created_at=NOW,
        traceparent=TRACE,
        tracestate="",
        queued_at=NOW,
    )
    return row._replace(**fields)


def full_run(id_: str) -> RunRow:
    """A run in which every column has a value that is not its default."""
    return run(
        id_,
        namespace="other",
        function_key=7,
        event_key=8,
        tracestate="vendor=1",
        state=RunState.FAILED,
        epoch=3,
        attempt=2,
        deliveries=1,
        session_id="session-1",
        queued_at=NOW + 1,
        due_at=NOW + 2,
        started_at=NOW + 3,
        ended_at=NOW + 4,
        step_count=5,
        journal_bytes=6,
        has_timers=True,
        output=b"\x00\xff",
        output_encoding="raw",
        failure=FAILURE,
    )


def leased(row: RunRow, session_id: str = "session-1") -> RunRow:
    """The run as a session holds it."""
    return row._replace(
        state=RunState.RUNNING, epoch=row.epoch + 1, deliveries=1, session_id=session_id, started_at=NOW
    )


def ended(row: RunRow, *, at: int = NOW, state: RunState = RunState.COMPLETED) -> RunRow:
    """The run when it has ended."""
    return row._replace(state=state, session_id=None, ended_at=at, output=b"1", output_encoding="json")


def entry(run_id: str, step_key: str = "load#0", **fields: Any) -> JournalRow:
    """A completed step."""
    row = JournalRow(
        run_id=run_id,
        step_key=step_key,
        kind=StepKind.RUN,
        state=StepState.COMPLETED,
        attempts=1,
        output=b"1",
        output_encoding="json",
        started_at=NOW,
        ended_at=NOW,
    )
    return row._replace(**fields)


def full_entry(run_id: str, step_key: str) -> JournalRow:
    """A step in which every column has a value that is not its default."""
    return entry(
        run_id,
        step_key,
        kind=StepKind.SEND_EVENTS,
        state=StepState.FAILED,
        attempts=4,
        output=b"\x00\xff",
        output_encoding="raw",
        failure=FAILURE,
        started_at=NOW + 1,
        ended_at=NOW + 2,
        due_at=NOW + 3,
        event_ids=("event-1", "event-2"),
    )


def step_timer(run_id: str, step_key: str = "nap#0", *, due_at: int = NOW) -> TimerRow:
    """A timer of a step."""
    return TimerRow(due_at, TimerKind.STEP, run_id, step_key)


def cron_timer(function_key: int, line: str, *, due_at: int = NOW) -> TimerRow:
    """A timer of a cron trigger."""
    return TimerRow(due_at, TimerKind.CRON, str(function_key), f"{line} UTC")


def session(id_: str, **fields: Any) -> SessionRow:
    """A session."""
    return SessionRow(id_, "default", "shop", "host-1", "steplane 1", "python", NOW, NOW + SECOND)._replace(**fields)


def function(function_id: str, *, app_id: str = "shop", namespace: str = "default", key: int = 0) -> FunctionRow:
    """A function."""
    definition = Definition(
        app_id=app_id,
        function_id=function_id,
        name=f"The function {function_id}",
        triggers=(EventTrigger("shop/order.*", 'event.data.total > 1 && event.name != "x"'), CronTrigger("0 6 * * 1")),
        retry=RetryPolicy(4, (15 * SECOND, 30 * SECOND), 30 * SECOND),
    )
    return FunctionRow(key, namespace, definition, 1, NOW, NOW)
