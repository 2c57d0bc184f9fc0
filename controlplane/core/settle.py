"""Tells what became of runs that ended: the steps that invoked them, and whoever listens to the server's own events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from controlplane.core.awaiting import EVENT_INVOKED, NULL
from controlplane.core.decision import Decision, Incoming
from controlplane.core.ids import child_event_id, child_traceparent, run_span_id
from controlplane.core.lifecycle import conclude, is_blocked
from controlplane.core.reasons import Reason
from controlplane.core.records import EventRow, Failure, NewEvent, RunRow
from controlplane.core.states import RunState, StepKind, StepState
from controlplane.core.waits import event_json

EVENT_FINISHED: Final = "steplane/function.finished"
EVENT_FAILED: Final = "steplane/function.failed"
EVENT_CANCELLED: Final = "steplane/function.cancelled"

#: What is told of a run that ended so. A skipped run never was.
TOLD: Final[dict[RunState, tuple[str, ...]]] = {
    RunState.COMPLETED: (EVENT_FINISHED,),
    RunState.FAILED: (EVENT_FINISHED, EVENT_FAILED),
    RunState.CANCELLED: (EVENT_CANCELLED,),
    RunState.SKIPPED: (),
}

_JSON: Final = ("", "json")


def answer_invokers(d: Decision, run: RunRow, events: Sequence[EventRow]) -> None:
    """Give a run's outcome to the steps that invoked it: of a batch, these are several."""
    for event in events:
        if run.state is RunState.COMPLETED:
            output, encoding = run.output or NULL, run.output_encoding
            _answer(d, event, state=StepState.COMPLETED, output=output, output_encoding=encoding, other_run_id=run.id)
        else:
            _answer(d, event, state=StepState.FAILED, failure=run.failure or Failure("Failed", ""), other_run_id=run.id)


def answer_superseded(d: Decision, event: EventRow) -> None:
    """An invocation will start no run."""
    message = "its run never began: a newer event took its place, or the function was disabled"
    _answer(d, event, state=StepState.FAILED, failure=Failure("Skipped", message, reason=Reason.SKIPPED))


def tell(d: Decision, run: RunRow, events: Sequence[EventRow], is_listened_to: Callable[[str, str], bool]) -> None:
    """Make the events that tell what became of a run, as far as anybody listens. Their ids derive from the run's."""
    depth = run.depth + 1
    if depth > d.limits.lineage_depth_max:
        return
    for name in TOLD[run.state]:
        if not is_listened_to(run.namespace, name):
            continue
        event = NewEvent(
            child_event_id(run.id, name, 0),
            name,
            _data(d, run, events),
            "",
            None,
            child_traceparent(run.traceparent, run_span_id(run.id)),
            run.tracestate,
        )
        # Who handles failures would else be asked to handle its own.
        is_of_failure = name == EVENT_FAILED and any(each.name == EVENT_FAILED for each in events)
        not_function = run.function_key if is_of_failure else 0
        d.incoming.append(Incoming(run.namespace, (event,), run.id, None, depth, not_function=not_function))


def _answer(d: Decision, event: EventRow, **values: object) -> None:
    if event.name != EVENT_INVOKED or event.source_run_id is None or event.source_step_key is None:
        return
    entry = d.entries.get((event.source_run_id, event.source_step_key))
    if entry is None or entry.kind is not StepKind.INVOKE or not is_blocked(entry):
        return
    failure = values.get("failure")
    if isinstance(failure, Failure):
        values["failure"] = failure._replace(step_key=entry.step_key)
    conclude(d, entry, **values)


def _data(d: Decision, run: RunRow, events: Sequence[EventRow]) -> bytes:
    definition = d.functions[run.function_key].definition
    parts = [orjson.Fragment(event_json(event)) for event in events]
    data: dict[str, Any] = {
        "function_id": f"{definition.app_id}/{definition.function_id}",
        "run_id": run.id,
        "event": parts[0] if parts else None,
        "events": parts,
    }
    if run.failure is not None:
        data["error"] = {
            "name": run.failure.name,
            "message": run.failure.message,
            "stack": run.failure.stack,
            "step_key": run.failure.step_key,
            "reason": run.failure.reason,
        }
    elif run.output_encoding in _JSON:
        data["result"] = orjson.Fragment(run.output or NULL)
    return orjson.dumps(data)
