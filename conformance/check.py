"""Compares what came of a case with what was to come of it. A problem is told in words."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from conformance.case import Case
from conformance.rig import Rig
from controlplane.gen.steplane.v1 import payload_pb2, run_pb2

ANY: Final = "<any>"
"""In an expected value: anything but null."""
TRACEPARENT: Final = "<traceparent>"
"""As the expected output: the trace context of the run."""

_KINDS: Final = {
    run_pb2.STEP_KIND_RUN: "run",
    run_pb2.STEP_KIND_SLEEP: "sleep",
    run_pb2.STEP_KIND_SEND_EVENTS: "send",
    run_pb2.STEP_KIND_WAIT_FOR_EVENT: "wait",
    run_pb2.STEP_KIND_INVOKE: "invoke",
    run_pb2.STEP_KIND_WAIT_FOR_SIGNAL: "wait_signal",
    run_pb2.STEP_KIND_SEND_SIGNAL: "send_signal",
}


async def problems_of(case: Case, lineages: Sequence[run_pb2.GetLineageResponse], rig: Rig) -> list[str]:
    """All that is not as the case says; empty if it passed."""
    runs = {run.id: await rig.run(run.id) for lineage in lineages for run in lineage.runs}
    names = {event.event.id: event.event.name for lineage in lineages for event in lineage.events}
    problems: list[str] = []
    left = list(runs.values())
    for expected in case.runs:
        told = [
            (list(await _run_problems(expected, run, names, rig)), run)
            for run in left
            if run.function_id == expected["function"]
        ]
        if not told:
            problems.append(f"there is no run of {expected['function']}")
            continue
        found, run = min(told, key=lambda pair: len(pair[0]))
        problems += [f"{run.function_id}: {problem}" for problem in found]
        left.remove(run)
    problems += [f"there is a run of {run.function_id} too many" for run in left]
    if case.lineage:
        problems += _lineage_problems(case.lineage, lineages[0])
    problems += [problem for lineage in lineages for problem in _trace_problems(case, lineage)]
    problems += [f"{run.function_id}: {text}" for run in runs.values() for text in rig.referee.problems_of(run.id)]
    return problems


async def _run_problems(expected: Mapping[str, Any], run: run_pb2.Run, names: Mapping[str, str], rig: Rig) -> list[str]:
    problems = list(_outcome_problems(expected, run))
    if "journal" in expected:
        journal = await rig.journal(run.id)
        problems += _journal_problems(expected["journal"], journal, names)
    if "epoch" in expected and run.epoch != expected["epoch"]:
        problems.append(f"it was leased {run.epoch} times, not {expected['epoch']}")
    if "reports" in expected:
        reports = rig.referee.reports_of(run.id)
        for key, count in expected["reports"].items():
            if reports.get(key, 0) != count:
                problems.append(f"{reports.get(key, 0)} different reports of {key}, not {count}")
    if "order" in expected:
        order = [each for each in rig.referee.order_of(run.id) if each in expected["order"]]
        if order != expected["order"]:
            problems.append(f"what passed, in its order: {', '.join(order)}; not {', '.join(expected['order'])}")
    return problems


def _outcome_problems(expected: Mapping[str, Any], run: run_pb2.Run) -> Iterator[str]:
    state = run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_").lower()
    if state != expected.get("state", "completed"):
        failure = f" ({run.failure.name}: {run.failure.message})" if run.HasField("failure") else ""
        yield f"it is {state}{failure}, not {expected.get('state', 'completed')}"
    elif "output" in expected:
        output = run.traceparent if expected["output"] == TRACEPARENT else expected["output"]
        if not _is_same(output, _value(run.output)):
            yield f"it returned {_short(_value(run.output))}, not {_short(output)}"
    yield from _failure_problems(expected.get("failure", {}), run.failure)


def _journal_problems(
    expected: Mapping[str, Any], journal: Mapping[str, run_pb2.JournalEntry], names: Mapping[str, str]
) -> Iterator[str]:
    if set(expected) != set(journal):
        yield f"its journal has {', '.join(journal) or 'no steps'}; not {', '.join(expected) or 'none'}"
    for key in expected.keys() & journal.keys():
        for problem in _entry_problems(expected[key] or {}, journal[key], names):
            yield f"{key}: {problem}"


def _entry_problems(
    expected: Mapping[str, Any], entry: run_pb2.JournalEntry, names: Mapping[str, str]
) -> Iterator[str]:
    seen: dict[str, Any] = {
        "kind": _KINDS[entry.kind],
        "state": run_pb2.StepState.Name(entry.state).removeprefix("STEP_STATE_").lower(),
        "output": _value(entry.output),
        "attempts": entry.attempts,
        "events": len(entry.event_ids),
        "sends": [names.get(event_id, "?") for event_id in entry.event_ids],
    }
    unknown = set(expected) - set(seen) - {"failure"}
    if unknown:
        yield f"the case expects what is unknown: {', '.join(unknown)}"
    for name, value in {"state": "completed", **expected}.items():
        if name in seen and not _is_same(value, seen[name]):
            yield f"{name} is {_short(seen[name])}, not {_short(value)}"
    yield from _failure_problems(expected.get("failure", {}), entry.failure)


def _failure_problems(expected: Mapping[str, str], failure: payload_pb2.Failure) -> Iterator[str]:
    seen = {"name": failure.name, "message": failure.message, "reason": failure.reason, "step": failure.step_key}
    for name, value in expected.items():
        if seen[name] != value:
            yield f"its failure's {name} is {_short(seen[name])}, not {_short(value)}"


def _lineage_problems(expected: str, lineage: run_pb2.GetLineageResponse) -> Iterator[str]:
    wanted, seen = textwrap.dedent(expected).strip(), "\n".join(_tree(lineage))
    if wanted != seen:
        yield "its lineage is\n" + textwrap.indent(seen, "  ") + "\nnot\n" + textwrap.indent(wanted, "  ")


def _tree(lineage: run_pb2.GetLineageResponse) -> list[str]:
    """All that came of the first event: events, runs and the steps that sent something, children indented."""
    journals = {journal.run_id: journal.entries for journal in lineage.journals}

    def of_event(record: run_pb2.EventRecord) -> list[str]:
        event_id = record.event.id
        runs = [of_run(run) for run in lineage.runs if event_id in (run.event_id, *run.event_ids)]
        return [f"event {record.event.name}", *_indented(sorted(runs))]

    def of_run(run: run_pb2.Run) -> list[str]:
        state = run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_").lower()
        steps = [of_step(run.id, entry.step_key) for entry in journals.get(run.id, ())]
        return [f"run {run.function_id} {state}", *_indented(sorted(step for step in steps if len(step) > 1))]

    def of_step(run_id: str, key: str) -> list[str]:
        sent = [
            of_event(each) for each in lineage.events if (each.source_run_id, each.source_step_key) == (run_id, key)
        ]
        return [f"step {key}", *_indented(sorted(sent))]

    return of_event(lineage.events[0])


def _indented(blocks: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for block in blocks for line in block]


def _trace_problems(case: Case, lineage: run_pb2.GetLineageResponse) -> Iterator[str]:
    """One lineage is one trace, and what a step sent is a child of that step's span."""
    given = {each["traceparent"].split("-")[1] for each in case.send if "traceparent" in each}
    traceparents = [run.traceparent for run in lineage.runs] + [each.event.traceparent for each in lineage.events]
    ids = {each.split("-")[1] for each in traceparents} | given
    if len(ids) > 1:
        yield f"its lineage has {len(ids)} traces"
    for run in lineage.runs:
        if not _is_span(run.traceparent, run.id):
            yield f"the span of the run of {run.function_id} is not made from its id"
    for record in lineage.events:
        step = f"{record.source_run_id}/{record.source_step_key}"
        if record.source_step_key and not _is_span(record.event.traceparent, step):
            yield f"{record.event.name} is no child of the span of step {record.source_step_key}"


def _is_span(traceparent: str, identity: str) -> bool:
    return traceparent.split("-")[2] == hashlib.sha256(identity.encode()).hexdigest()[:16]


def _is_same(expected: Any, seen: Any) -> bool:
    """Whether a value is the expected one, type by type: 1 is 1.0, but not true."""
    if expected == ANY:
        return seen is not None
    if isinstance(expected, dict) and isinstance(seen, dict):
        return expected.keys() == seen.keys() and all(_is_same(value, seen[key]) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(seen, list):
        return len(expected) == len(seen) and all(map(_is_same, expected, seen))
    return isinstance(expected, bool) is isinstance(seen, bool) and bool(expected == seen)


def _value(payload: payload_pb2.Payload) -> Any:
    return json.loads(payload.data) if payload.data else None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
