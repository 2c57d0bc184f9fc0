"""One run for people: what it is, its steps, what came of it. Pure: messages in, renderables out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from controlplane.client_commands.show import json_lines
from controlplane.client_commands.show.tables import ID_WIDTH, add_filler, plain_table
from controlplane.client_commands.show.times import absolute, duration, micros, relative
from controlplane.client_commands.show.words import (
    ENDED,
    NEEDS,
    STEP_KINDS,
    count,
    function_name,
    one_line,
    printable,
    run_look,
    step_look,
    step_name,
)
from controlplane.gen.steplane.v1 import run_pb2

if TYPE_CHECKING:
    from rich.console import RenderableType

    from controlplane.client_commands.show.pen import Pen
    from controlplane.gen.steplane.v1 import payload_pb2

_RESULT_WIDTH: Final = 60
_BATCH_WIDTH: Final = 200
_TARGET_WIDTH: Final = 60
_OUTPUT_LINES: Final = 100
_GIVING: Final = frozenset(
    {
        run_pb2.STEP_KIND_RUN,
        run_pb2.STEP_KIND_WAIT_FOR_EVENT,
        run_pb2.STEP_KIND_INVOKE,
        run_pb2.STEP_KIND_WAIT_FOR_SIGNAL,
    }
)
"""Steps whose output is worth a look."""


def run_page(run: run_pb2.Run, steps: Sequence[run_pb2.JournalEntry], pen: Pen) -> RenderableType:
    """A run with its steps. Steps that were not read are counted."""
    parts: list[RenderableType] = [_details(run, pen)]
    if steps:
        parts += [Text(), _steps_table(run, steps, pen)]
    unread = run.step_count - len(steps)
    if unread > 0:
        parts.append(Text(f"… {count(unread, 'more step')}: --limit", "dim"))
    if run.HasField("failure"):
        parts += [Text(), *_failure(run.failure, pen)]
    if run.HasField("output"):
        parts += [Text(), Text("output", "bold dim"), _output(run.output)]
    if run.state == run_pb2.RUN_STATE_SET_ASIDE:
        parts += [Text(), Text(f"To queue it again, once its code is mended: steplane release {run.id}", "dim")]
    return Group(*parts)


def progress_line(run: run_pb2.Run, pen: Pen) -> Text:
    """A run in one line, while somebody waits for it or when it has ended."""
    return Text.assemble(
        pen.symbol(run_look(run.state)),
        " ",
        printable(function_name(run)),
        (f"  {run.id}  ", "dim"),
        run_status(run, pen),
    )


def run_status(run: run_pb2.Run, pen: Pen) -> Text:
    """A run's state, for how long, and why."""
    look = run_look(run.state)
    text = Text(look.word, look.style)
    created, ended = micros(run.create_time), micros(run.end_time)
    if run.state == run_pb2.RUN_STATE_SKIPPED:
        pass  # at once, before it began
    elif run.state in ENDED:
        text.append(f" {'in' if run.state == run_pb2.RUN_STATE_COMPLETED else 'after'} {pen.since(created, ended)}")
    elif run.state == run_pb2.RUN_STATE_QUEUED and run.need in NEEDS:
        # Its priority may have moved its place in the queue to before it was made, or ahead of now.
        queued = max(micros(run.queue_time), created)
        text.append(f", {NEEDS[run.need]}, for {pen.since(queued, 0)}")
    elif run.HasField("due_time"):
        text.append(f", goes on {relative(micros(run.due_time), pen.now)} at the latest")
    else:
        text.append(f", {pen.since(created, 0)} so far")
    # One that failed for good at once has said so.
    if run.attempt > (run.state == run_pb2.RUN_STATE_FAILED):
        text.append(f", body failed {count(run.attempt, 'time')}", "yellow")
    if run.HasField("failure"):
        text.append(" · ").append_text(pen.failure(run.failure))
    return text


def step_status(step: run_pb2.JournalEntry, pen: Pen) -> Text:
    """A step's state in few words: how long it took, or what it waits for, and why."""
    started, ended, due = micros(step.start_time), micros(step.end_time), micros(step.due_time)
    text = Text()
    match step.state:
        case run_pb2.STEP_STATE_COMPLETED:
            text.append(duration(ended - started))
        case run_pb2.STEP_STATE_FAILED:
            text.append(f"failed after {duration(ended - started)}", "red")
        case run_pb2.STEP_STATE_RETRYING:
            text.append(f"to be tried again {relative(due, pen.now)}", "yellow")
        case _ if due:
            text.append(f"until {absolute(due, pen.zone)}, {relative(due, pen.now)}", "yellow")
        case _:
            text.append(f"waits, {pen.since(started, 0)} so far", "yellow")
    if step.attempts > 1:
        text.append(f", {step.attempts} attempts", "yellow")
    if step.HasField("failure"):
        text.append(" · ").append_text(pen.failure(step.failure))
    return text


def _details(run: run_pb2.Run, pen: Pen) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    created, started, ended = micros(run.create_time), micros(run.start_time), micros(run.end_time)
    grid.add_row("run", Text(run.id, "bold"))
    grid.add_row("function", Text(printable(function_name(run))))
    grid.add_row("state", Text.assemble(pen.symbol(run_look(run.state)), " ", run_status(run, pen)))
    grid.add_row("event", Text.assemble(printable(run.event_name), (f"  {printable(run.event_id)}", "dim")))
    if run.event_ids:
        ids = one_line(", ".join(run.event_ids), _BATCH_WIDTH)
        grid.add_row("batch", Text.assemble(count(len(run.event_ids), "event"), (f"  {ids}", "dim")))
    if run.replay_of:
        grid.add_row("replays", Text(run.replay_of))
    grid.add_row("created", pen.moment(created))
    if started:
        grid.add_row("started", pen.moment(started).append(f", {duration(started - created)} in the queue", "dim"))
    if ended:
        grid.add_row("ended", pen.moment(ended))
    grid.add_row("leases", _leases(run))
    grid.add_row("trace", Text(trace_id(run.traceparent)))
    return grid


def _leases(run: run_pb2.Run) -> Text:
    text = Text(str(run.epoch))
    if run.deliveries > 1:
        text.append(f", the last {run.deliveries} without a report", "yellow")
    return text


def trace_id(traceparent: str) -> str:
    """The id of the trace that a W3C traceparent belongs to."""
    return printable(traceparent[3:35])


def _steps_table(run: run_pb2.Run, steps: Sequence[run_pb2.JournalEntry], pen: Pen) -> Table:
    table = plain_table("", "step", "kind", "at", "status")
    if any(step.run_id for step in steps):
        table.columns[2].min_width = len("run ") + ID_WIDTH
    add_filler(table, "result")
    origin = micros(run.create_time)
    for step in steps:
        table.add_row(
            pen.symbol(step_look(step.state)),
            Text(printable(step_name(step.step_key))),
            _step_kind(step),
            Text(f"+{duration(micros(step.start_time) - origin)}", "dim"),
            step_status(step, pen),
            _step_result(step),
        )
    return table


def _step_kind(step: run_pb2.JournalEntry) -> Text:
    text = step_action(step)
    return text.append(f"\nrun {step.run_id}") if step.run_id else text


def step_action(step: run_pb2.JournalEntry) -> Text:
    """What a step does, and with what."""
    words = [STEP_KINDS.get(step.kind, "unknown"), one_line(step.target, _TARGET_WIDTH)]
    return Text(" ".join(filter(None, words)), "dim")


def _step_result(step: run_pb2.JournalEntry) -> Text:
    if step.event_ids and step.kind == run_pb2.STEP_KIND_SEND_EVENTS:
        return Text(
            f"{count(len(step.event_ids), 'event')}: {one_line(', '.join(step.event_ids), _RESULT_WIDTH)}", "dim"
        )
    if step.HasField("output") and step.kind in _GIVING:
        return Text(one_line(json_lines.line(json_lines.payload_data(step.output)), _RESULT_WIDTH), "dim")
    return Text()


def _failure(failure: payload_pb2.Failure, pen: Pen) -> list[RenderableType]:
    where = f" in step {printable(step_name(failure.step_key))}" if failure.step_key else ""
    parts: list[RenderableType] = [
        Text.assemble(
            (f"failure{where}", "bold dim"), (f"  {printable(failure.reason)}" if failure.reason else "", "dim")
        ),
        pen.failure(failure),
    ]
    if failure.stack:
        parts.append(Text(printable(failure.stack.rstrip()), "dim"))
    return parts


def _output(payload: payload_pb2.Payload) -> Text:
    text = json.dumps(json_lines.payload_data(payload), indent=2, ensure_ascii=False)
    lines = printable(text).splitlines()
    shown = JSONHighlighter()(Text("\n".join(lines[:_OUTPUT_LINES])))
    if len(lines) > _OUTPUT_LINES:
        shown.append(f"\n… {count(len(lines) - _OUTPUT_LINES, 'more line')}; all of them: --json", "dim")
    return shown
