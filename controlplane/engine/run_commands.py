"""What the commands about events and runs do in a turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from controlplane.core import advance, cron, lifecycle, report
from controlplane.core.awaiting import EVENT_INVOKED, give_signal
from controlplane.core.decision import Incoming
from controlplane.core.definition import CronTrigger, EventTrigger, FunctionRow, FunctionState
from controlplane.core.flow import flush_key
from controlplane.core.records import Ack, Lease, NewEvent, Report, ReportKind, TimerKind, TimerRow
from controlplane.core.requests import SignalRequest
from controlplane.core.states import ENDED, RunState
from controlplane.engine.commands import (
    CancelRun,
    CancelRuns,
    FireTimers,
    ReleaseRun,
    Reported,
    ReportOnce,
    SendEvents,
    SendSignal,
    SentEvents,
    SubmitReports,
    Sweep,
    Triggered,
    TriggerFunction,
)
from controlplane.engine.lineage import refuse_lineage
from controlplane.engine.session_commands import renew
from controlplane.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from controlplane.store.interface import Swept

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn

EVENT_TICK: Final = "steplane/schedule.fired"

_BY_OPERATOR: Final = "cancelled by an operator"
#: Reports that make a lineage one event longer.
_LENGTHENING: Final = (ReportKind.EVENTS_SENT, ReportKind.INVOKE_STARTED)


def send_events(turn: Turn, command: SendEvents) -> Callable[[], SentEvents]:
    """Send events down the street."""
    incoming = Incoming(command.namespace, command.events)
    turn.d.incoming.append(incoming)
    return lambda: SentEvents(incoming.ids, incoming.duplicates)


def trigger_function(turn: Turn, command: TriggerFunction) -> Callable[[], Triggered]:
    """Start a function by an event that no other function sees."""
    function = find_function(turn, command.namespace, command.app_id, command.function_id)
    if function.state is FunctionState.DISABLED:
        raise FailedPrecondition(f"function {command.function_id} is disabled; resume it first", reason="DISABLED")
    has_event_trigger = any(isinstance(t, EventTrigger) for t in function.definition.triggers)
    event = command.event._replace(name=EVENT_INVOKED if has_event_trigger else EVENT_TICK)
    incoming = Incoming(command.namespace, (event,), function=function)
    turn.d.incoming.append(incoming)
    return lambda: Triggered(incoming.ids[0], incoming.run_ids[0] if incoming.run_ids else "")


def cancel_run(turn: Turn, command: CancelRun) -> None:
    """Cancel a run that has not ended."""
    run = turn.d.runs.get(command.run_id)
    if run is None or run.namespace != command.namespace:
        raise NotFound(kind="run", name=command.run_id)
    if run.state in ENDED:
        raise FailedPrecondition(f"run {run.id} has ended already: {run.state.name}", reason="RUN_ENDED")
    lifecycle.cancel(turn.d, run, command.reason or _BY_OPERATOR)


def cancel_runs(turn: Turn, command: CancelRuns) -> int:
    """Cancel those of several runs that have not ended."""
    cancelled = 0
    for run_id in command.run_ids:
        run = turn.d.runs.get(run_id)
        if run is not None and run.namespace == command.namespace and run.state not in ENDED:
            lifecycle.cancel(turn.d, run, command.reason or _BY_OPERATOR)
            cancelled += 1
    return cancelled


def release_run(turn: Turn, command: ReleaseRun) -> None:
    """Queue a run again that was set aside."""
    run = turn.d.runs.get(command.run_id)
    if run is None or run.namespace != command.namespace:
        raise NotFound(kind="run", name=command.run_id)
    if run.state is not RunState.SET_ASIDE:
        raise FailedPrecondition(f"run {run.id} is not set aside: it is {run.state.name}", reason="RUN_NOT_SET_ASIDE")
    lifecycle.release(turn.d, run)


def send_signal(turn: Turn, command: SendSignal) -> str:
    """Give a signal to the step that waits for it."""
    request = SignalRequest(command.signal, command.data, command.encoding)
    run_id = give_signal(turn.d, command.namespace, request)
    if run_id is None:
        raise NotFound(kind="signal", name=command.signal, hint="No run waits for it now.")
    return run_id


def submit_reports(turn: Turn, command: SubmitReports) -> None:
    """Judge each report, and carry out those that count."""
    session_id, updates = command.session_id, turn.d.updates
    for ack in _acks(turn, command.namespace, command.reports):
        updates.append((session_id, ack))


def report_once(turn: Turn, command: ReportOnce) -> Reported:
    """Take the reports of a call, whatever session the leases are of: its acks are the call's, and no session's."""
    reported = [Lease(item.run_id, item.epoch) for item in command.reports]
    lost, cancellations = renew(turn, command.namespace, [*command.held, *reported])
    held = frozenset(command.held)
    acks = list(_acks(turn, command.namespace, command.reports))
    return Reported(acks, [lease for lease in lost if lease in held], cancellations)


def _acks(turn: Turn, namespace: str, reports: Sequence[Report]) -> Iterator[Ack]:
    """The answer to each report, which is carried out by then if it counts."""
    d = turn.d
    runs, entries = d.runs, d.entries
    for item in reports:
        run = runs.get(item.run_id)
        entry = entries.get((item.run_id, item.step_key)) if item.step_key else None
        ack = report.judge(item, namespace, run, entry, d.limits)
        if ack is None and run is not None:
            if run.depth >= d.limits.lineage_depth_max and item.kind in _LENGTHENING:
                ack = refuse_lineage(turn, item, run)
            else:
                ack = advance.carry_out(d, item, run)
        if ack is not None:
            yield ack


def fire_timers(turn: Turn, _command: FireTimers) -> int:  # noqa: C901 one flat case a kind
    """Do what is due. Timers are read once a turn, so only its first command of the kind fires any."""
    if turn.has_fired:
        return 0
    turn.has_fired = True
    for timer in turn.facts.timers:
        turn.d.done_timers.append(timer)
        match timer.kind:
            case TimerKind.STEP:
                advance.wake_step(turn.d, timer)
            case TimerKind.RUN:
                advance.wake_run(turn.d, timer)
            case TimerKind.EVENT:
                event = turn.facts.delayed.get(int(timer.subject))
                if event is not None:
                    turn.d.matching.append(event)
            case TimerKind.START | TimerKind.FINISH:
                advance.time_out(turn.d, timer)
            case TimerKind.FLUSH:
                turn.d.flushing.append(flush_key(timer))
            case TimerKind.LANE:
                turn.lanes.let_go_on(int(timer.subject), int(timer.detail))
            case TimerKind.CRON:
                _tick(turn, timer)
    return len(turn.facts.timers)


def sweep(turn: Turn, command: Sweep) -> Swept:
    """Delete what is too old."""
    turn.tx.sweep_flow_rows(now=turn.now, limit=command.limit)
    return turn.tx.sweep(
        before=command.before,
        limit=command.limit,
        run_cursor=command.run_cursor,
        event_cursor=command.event_cursor,
    )


def tick_timer(trigger: CronTrigger, function_key: int, after: int) -> TimerRow:
    """The timer of a schedule's next tick."""
    due_at = cron.next_tick(trigger.cron, trigger.time_zone, after)
    return TimerRow(due_at, TimerKind.CRON, str(function_key), f"{trigger.cron}|{trigger.time_zone}")


def _tick(turn: Turn, timer: TimerRow) -> None:
    """Fire a schedule once, at its latest moment: ticks that were missed before that one are left out."""
    function = turn.functions.by_key.get(int(timer.subject))
    line, _, time_zone = timer.detail.rpartition("|")
    trigger = CronTrigger(line, time_zone)
    if function is None or trigger not in function.definition.triggers or function.state is FunctionState.DELETED:
        return
    moment = cron.last_tick(line, time_zone, turn.now)
    tick = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).isoformat()
    data = f'{{"cron":"{line}","time_zone":"{time_zone}","tick":"{tick}"}}'.encode()
    event = NewEvent("", EVENT_TICK, data, "", moment, "", "")
    if function.state is not FunctionState.DISABLED:
        turn.d.incoming.append(Incoming(function.namespace, (event,), function=function))
    turn.d.new_timers.append(tick_timer(trigger, function.key, turn.now))


def find_function(turn: Turn, namespace: str, app_id: str, function_id: str) -> FunctionRow:
    """The one function of that id. Raises `NotFound`, or `InvalidArgument` if several apps have one."""
    found = turn.functions.find(namespace, app_id, function_id)
    if not found:
        raise NotFound(
            kind="function",
            name=function_id,
            hint="Functions are registered by their worker when it connects; `steplane functions` lists them.",
        )
    if len(found) > 1:
        apps = ", ".join(sorted(function.definition.app_id for function in found))
        raise InvalidArgument(FieldViolation("app_id", f"several apps have such a function; name one of {apps}"))
    return found[0]
