"""Lists for people: runs, events and functions as tables. Pure: messages in, renderables out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from controlplane.client_commands.show import json_lines
from controlplane.client_commands.show.times import micros, relative
from controlplane.client_commands.show.words import (
    count,
    defined_name,
    function_look,
    function_name,
    one_line,
    printable,
    run_look,
    step_name,
)

if TYPE_CHECKING:
    from controlplane.client_commands.show.pen import Pen
    from controlplane.gen.steplane.v1 import function_pb2, run_pb2

_WIDE: Final = 120
"""From so many columns on there is room for what is only nice to know."""
_DATA_WIDTH: Final = 200
ID_WIDTH: Final = 26
"""Of the ids that the server makes."""
_SERVER_PREFIX: Final = "steplane/"
_FIXED: Final = frozenset({"", "state", "run", "created", "received", "took", "at"})
"""Columns that keep their width on a narrow terminal."""


def runs_table(runs: Iterable[run_pb2.Run], pen: Pen, width: int) -> Table:
    """Runs, one a row."""
    is_wide = width >= _WIDE
    table = plain_table("state", "function", "run", "created", "took", "steps")
    if is_wide:
        table.add_column("event", overflow="fold")
    for run in runs:
        look = run_look(run.state)
        cells = [
            pen.state(look),
            Text(printable(function_name(run))),
            Text(run.id),
            _moment(micros(run.create_time), pen, is_wide=is_wide),
            Text(pen.since(micros(run.create_time), micros(run.end_time))),
            Text(str(run.step_count)),
        ]
        if is_wide:
            cells.append(Text.assemble(printable(run.event_name), (f" {printable(run.event_id)}", "dim")))
        table.add_row(*cells)
    return table


def events_table(events: Iterable[run_pb2.EventRecord], pen: Pen, width: int) -> Table:
    """Events, one a row."""
    is_wide = width >= _WIDE
    table = plain_table("received", "name", "event", "sent by")
    table.columns[2].min_width = ID_WIDTH
    if is_wide:
        add_filler(table, "data")
    for record in events:
        event = record.event
        cells = [
            _moment(micros(record.receive_time), pen, is_wide=is_wide),
            Text(printable(event.name)),
            Text(printable(event.id)),
            _source(record, is_wide=is_wide),
        ]
        if is_wide:
            cells.append(Text(one_line(json_lines.line(json_lines.payload_data(event.data)), _DATA_WIDTH), "dim"))
        table.add_row(*cells)
    return table


def functions_table(functions: Iterable[function_pb2.Function], pen: Pen, width: int) -> Table:
    """Functions, one a row."""
    table = plain_table("state", "function", "triggers", "retries", "workers", "version", "changed")
    for function in functions:
        definition = function.definition
        table.add_row(
            pen.state(function_look(function.state)),
            Text(printable(defined_name(definition))),
            triggers_text(definition),
            Text(str(definition.retry.retries)),
            workers_text(function),
            Text(str(function.version)),
            _moment(micros(function.update_time), pen, is_wide=width >= _WIDE),
        )
    return table


def triggers_text(definition: function_pb2.FunctionDefinition) -> Text:
    """What starts a function, one a line."""
    return Text("\n").join(_trigger(trigger) for trigger in definition.triggers)


def workers_text(function: function_pb2.Function) -> Text:
    """How many workers serve a function."""
    live = function.live_sessions
    return Text(str(live) if live else "none", "" if live else "yellow")


def plain_table(*headers: str) -> Table:
    """A table without lines; more columns may follow. Names are folded, never cut, so that they can be copied."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for header in headers:
        table.add_column(header, overflow="fold", no_wrap=header in _FIXED)
    return table


def add_filler(table: Table, header: str) -> None:
    """A last column that takes what room the others leave, and is cut where that ends."""
    table.expand = True
    table.add_column(header, no_wrap=True, overflow="ellipsis", ratio=1)


def more(shown: int, noun: str) -> Text:
    """What to say below a list that goes on."""
    return Text(f"The first {count(shown, noun)}; there are more: --limit.", "dim")


def _source(record: run_pb2.EventRecord, *, is_wide: bool) -> Text:
    """Who sent an event: a step or the end of a run, the server itself (a tick, a trigger), or somebody
    outside."""
    if not record.source_run_id:
        return Text("server" if record.event.name.startswith(_SERVER_PREFIX) else "producer", "dim")
    text = (
        Text.assemble(("step ", "dim"), printable(step_name(record.source_step_key)))
        if record.source_step_key
        else Text("end of a run" if not is_wide else "end", "dim")
    )
    return text.append(f" of {record.source_run_id}", "dim") if is_wide else text


def _moment(moment: int, pen: Pen, *, is_wide: bool) -> Text:
    if is_wide:
        return pen.moment(moment)
    return Text(relative(moment, pen.now))


def _trigger(trigger: function_pb2.Trigger) -> Text:
    if trigger.HasField("cron"):
        return Text.assemble(("cron ", "dim"), printable(trigger.cron.cron), (f" {trigger.cron.time_zone}", "dim"))
    text = Text.assemble(("event ", "dim"), printable(trigger.event.event))
    if trigger.event.expression:
        text.append(f" if {one_line(trigger.event.expression, 60)}", "dim")
    return text
