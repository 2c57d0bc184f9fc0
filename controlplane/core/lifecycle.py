"""What happens to a run from whichever side it comes: it wakes, a step of it is met, its lease ends, it ends.

Every function changes the `Decision`, and nothing else. Which change is legal is told by `states.TRANSITIONS`.
"""

from __future__ import annotations

from controlplane.core.decision import Decision
from controlplane.core.flow import lane_of
from controlplane.core.reasons import Reason
from controlplane.core.records import (
    Cancellation,
    Failure,
    FlowKind,
    JournalRow,
    Resolution,
    RunRow,
    TimerKind,
    TimerRow,
    with_progress,
)
from controlplane.core.states import ENDED, RunChange, RunState, StepState, after


class Refused(Exception):
    """A report asks for what can't be. To be raised before anything is changed."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def is_blocked(entry: JournalRow) -> bool:
    """Whether a branch has to wait at this step: a retry's due time is taken away when it has come."""
    return entry.state is StepState.PENDING or (entry.state is StepState.RETRYING and entry.due_at is not None)


def record(d: Decision, run: RunRow, entry: JournalRow, *, size: int = 0, has_waits: bool = False) -> None:
    """Record a step, or what became of it, with a timer if it is to go on later."""
    is_timed = entry.due_at is not None and entry.ended_at is None
    if is_timed and entry.due_at is not None:
        d.new_timers.append(TimerRow(entry.due_at, TimerKind.STEP, run.id, entry.step_key))
    is_new = (run.id, entry.step_key) not in d.entries
    d.set_entry(entry)
    d.set_run(
        with_progress(
            run,
            step_count=run.step_count + is_new,
            journal_bytes=run.journal_bytes + size,
            has_timers=run.has_timers or is_timed or has_waits,
        )
    )


def is_backing_off(run: RunRow) -> bool:
    """Whether its body failed and waits for its next try: what its steps wait for does not end that."""
    return run.state is RunState.WAITING and run.failure is not None


def wake(d: Decision, run: RunRow) -> None:
    """Queue a run that was parked, or backed off."""
    _queue(d, run, RunChange.WOKEN, queued_at=d.now - _priority(run), due_at=None)


def free(d: Decision, run: RunRow, *, deliveries: int | None = None) -> None:
    """End a lease without an outcome: the run keeps its place in the queue, and no attempt is used up.

    `deliveries` is how many leases without a report count from now on. Too many set the run aside.
    """
    deliveries = run.deliveries if deliveries is None else deliveries
    if deliveries >= d.limits.deliveries_max:
        message = f"{deliveries} workers were lost, one after the other, while they had this run"
        d.set_run(
            run._replace(
                state=after(run.state, RunChange.SET_ASIDE, run_id=run.id),
                session_id=None,
                failure=Failure("SetAside", message, reason=Reason.SET_ASIDE),
            )
        )
        return
    _queue(d, run, RunChange.FREED, session_id=None, deliveries=deliveries)


def release(d: Decision, run: RunRow) -> None:
    """Let a run go on that was set aside."""
    _queue(d, run, RunChange.RELEASED, queued_at=d.now - _priority(run), deliveries=0, failure=None)


def conclude(d: Decision, entry: JournalRow, **values: object) -> None:
    """End a pending step, which waits for something, and let its run go on."""
    run = d.runs.get(entry.run_id)
    if run is None or run.state in ENDED:
        return
    if entry.due_at is not None:
        d.done_timers.append(TimerRow(entry.due_at, TimerKind.STEP, run.id, entry.step_key))
    ended = change(d, run, entry, ended_at=d.moment_of(run.id), **values)
    go_on(d, d.runs[run.id], ended)


def change(d: Decision, run: RunRow, entry: JournalRow, **values: object) -> JournalRow:
    """Give a recorded step new values. An output that the journal has no room for fails the step."""
    changed = entry._replace(**values)  # type: ignore[arg-type]  # checked by _replace itself
    size = len(changed.output or b"") - len(entry.output or b"")
    if size > 0 and run.journal_bytes + size > d.limits.journal_bytes_max:
        message = f"its output would make the journal larger than {d.limits.journal_bytes_max} bytes"
        failure = Failure("JournalTooLarge", message, step_key=entry.step_key)
        changed = changed._replace(
            state=StepState.FAILED, output=None, failure=failure, ended_at=changed.ended_at or d.moment_of(run.id)
        )
        size = -len(entry.output or b"")
    d.set_entry(changed)
    if size:
        d.set_run(run._replace(journal_bytes=run.journal_bytes + size))
    return changed


def go_on(d: Decision, run: RunRow, entry: JournalRow) -> None:
    """A step became ready: a live invocation is told, a parked run is woken."""
    if run.state is RunState.WAITING:
        if not is_backing_off(run):
            wake(d, run)
    elif run.session_id is not None:
        d.updates.append((run.session_id, Resolution(run.id, run.epoch, entry)))


def cancel(d: Decision, run: RunRow, message: str, reason: str = Reason.CANCELLED) -> None:
    """End a run, whatever it is doing; a live invocation is told to stop."""
    if run.session_id is not None:
        d.cancellations.append((run.session_id, Cancellation(run.id, run.epoch, message)))
    name = "TimedOut" if reason == Reason.TIMED_OUT else "Cancelled"
    end(d, run, RunChange.CANCELLED, failure=Failure(name, message, reason=reason))


def end(d: Decision, run: RunRow, change: RunChange, **values: object) -> None:
    """End a run. What waits for its end is told later in the turn."""
    if run.has_timers:
        d.cleared.append(run.id)
    if run.extra is not None and run.extra.singleton is not None:
        d.set_flow((run.function_key, FlowKind.SINGLETON, run.extra.singleton), None)
    ended = run._replace(
        state=after(run.state, change, run_id=run.id),
        session_id=None,
        due_at=None,
        ended_at=d.now,
        **values,  # type: ignore[arg-type]  # checked by _replace itself
    )
    d.set_run(ended)
    d.ended.append(ended)


def _priority(run: RunRow) -> int:
    return run.extra.priority if run.extra is not None else 0


def _queue(d: Decision, run: RunRow, change: RunChange, **values: object) -> None:
    lane = run.lane if run.extra is None else lane_of(run.extra, has_started=run.started_at is not None)
    d.set_run(run._replace(state=after(run.state, change, run_id=run.id), lane=lane, **values))  # type: ignore[arg-type]  # as in `conclude`
