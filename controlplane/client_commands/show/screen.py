"""Where a command's answer goes: one console, as JSON or for people. Each method shows one kind of answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from controlplane.client_commands.show import json_lines, run_page, shell, tables
from controlplane.client_commands.show.function_page import function_page
from controlplane.client_commands.show.lineage_tree import Cut, lineage_tree
from controlplane.client_commands.show.pen import Pen
from controlplane.client_commands.show.words import count, defined_name, function_look, printable, run_look, step_name

if TYPE_CHECKING:
    from datetime import tzinfo

    from rich.console import Console, RenderableType

    from controlplane.client_commands.connection import Listed
    from controlplane.client_commands.steering import Progress
    from controlplane.gen.steplane.v1 import function_pb2, run_pb2, work_pb2


class Screen:
    """The console, and what all answers on it have in common."""

    def __init__(
        self, console: Console, *, as_json: bool, clock: Callable[[], int], zone: tzinfo | None = None
    ) -> None:
        self.console = console
        self.as_json = as_json
        self._clock = clock
        self._zone = zone

    def pen(self) -> Pen:
        """What renderers need to know, at this moment."""
        return Pen(self._clock(), self._zone, is_ascii=self.console.options.ascii_only)

    def now(self) -> int:
        """This moment, in microseconds since 1970."""
        return self._clock()

    def sent(self, event_id: str, *, is_duplicate: bool) -> None:
        """An event was sent."""
        if self.as_json:
            self._json({"event_id": event_id, "duplicate": is_duplicate})
            return
        note = "  it was there already: nothing was started" if is_duplicate else ""
        self._print(Text.assemble("event ", (printable(event_id), "bold"), (note, "yellow")))

    def triggered(self, event_id: str, run_id: str) -> None:
        """A run was started."""
        if self.as_json:
            self._json({"event_id": event_id, "run_id": run_id or None})
            return
        note = "" if run_id else "  it was there already: nothing was started"
        self._print(Text.assemble("event ", (printable(event_id), "bold"), (note, "yellow")))
        if run_id:
            self._print(Text.assemble("run   ", (run_id, "bold")))

    def hint(self, text: str) -> None:
        """What people may want to do next; programs are not told."""
        if not self.as_json:
            self._print(Text(text, "dim"))

    def runs(self, listed: Listed[run_pb2.Run]) -> None:
        """A list of runs."""
        self._list(listed, "run", json_lines.run_data, tables.runs_table)

    def events(self, listed: Listed[run_pb2.EventRecord]) -> None:
        """A list of events."""
        self._list(listed, "event", json_lines.event_data, tables.events_table)

    def functions(self, listed: Listed[function_pb2.Function]) -> None:
        """A list of functions."""
        self._list(listed, "function", json_lines.function_data, tables.functions_table)

    def run(self, run: run_pb2.Run, steps: Sequence[run_pb2.JournalEntry]) -> None:
        """A run and its steps."""
        if self.as_json:
            self._json(json_lines.run_data(run, steps))
        else:
            self._print(run_page.run_page(run, steps, self.pen()))

    def progress(self, run: run_pb2.Run) -> None:
        """One line on how a run stands."""
        if self.as_json:
            self._json(json_lines.run_data(run))
        else:
            self._print(run_page.progress_line(run, self.pen()))

    def steered(self, run: run_pb2.Run) -> None:
        """A run, as an order left it."""
        if self.as_json:
            self._json(json_lines.run_data(run))
        else:
            self._print(Text.assemble("run ", (run.id, "bold"), " is ", self.pen().state(run_look(run.state))))

    def replayed(self, run: run_pb2.Run) -> None:
        """A new run that replays another."""
        if self.as_json:
            self._json(json_lines.run_data(run))
        else:
            self._print(Text.assemble("run ", (run.id, "bold"), f" replays {run.replay_of}"))

    def ordered(self, progress: Progress, done: str, *, dry_run: bool) -> None:
        """How far an order to many runs came."""
        if self.as_json:
            self._json({"seen": progress.seen, done: progress.done, "dry_run": dry_run})
        elif progress.done:
            found = f"{count(progress.done, 'run')} {'would be ' * dry_run}{done}"
            self._print(Text.assemble((found, "bold"), (f", of {progress.seen:,} looked at", "dim")))
        else:
            self._print(Text(f"no run matches, of {progress.seen:,} looked at", "dim"))

    def signalled(self, name: str, run_id: str) -> None:
        """A run got a signal."""
        if self.as_json:
            self._json({"signal": name, "run_id": run_id})
        else:
            self._print(Text.assemble("run ", (run_id, "bold"), f" got the signal {printable(name)}"))

    def function(self, function: function_pb2.Function) -> None:
        """One function."""
        if self.as_json:
            self._json(json_lines.function_data(function))
        else:
            self._print(function_page(function, self.pen()))

    def function_is(self, function: function_pb2.Function) -> None:
        """A function, as an order left it."""
        if self.as_json:
            self._json(json_lines.function_data(function))
            return
        name = printable(defined_name(function.definition))
        self._print(Text.assemble("function ", (name, "bold"), " is ", self.pen().state(function_look(function.state))))

    def deleted(self, name: str, runs_cancelled: int) -> None:
        """A function is gone."""
        if self.as_json:
            self._json({"function": name, "runs_cancelled": runs_cancelled})
        else:
            self._print(
                Text.assemble(
                    "function ", (printable(name), "bold"), f" is deleted; {count(runs_cancelled, 'run')} cancelled"
                )
            )

    def registered(
        self, definition: function_pb2.FunctionDefinition, answer: function_pb2.RegisterFunctionResponse
    ) -> None:
        """A function was registered."""
        if self.as_json:
            name = {"app_id": definition.app_id, "function_id": definition.function_id}
            self._json(name | json_lines.message_data(answer))
            return
        name_text = (printable(defined_name(definition)), "bold")
        self._print(Text.assemble("function ", name_text, f" is registered, version {answer.version}"))
        for warning in answer.warnings:
            self._print(Text(printable(warning), "yellow"))

    def invocation(self, invocation: work_pb2.Invocation) -> None:
        """A run to work on: for programs, whoever looks."""
        self._json(json_lines.message_data(invocation))

    def assignments(self, invocation: work_pb2.Invocation | None) -> None:
        """The same as assignments for bash."""
        for each in shell.assignments(invocation):
            self.console.file.write(f"{each}\n")
        self.console.file.flush()

    def ack(self, ack: work_pb2.Ack) -> None:
        """The answer to a report."""
        if self.as_json:
            self._json(json_lines.message_data(ack))
            return
        what = f"step {step_name(ack.step_key)}" if ack.step_key else "outcome"
        status = json_lines.message_data(ack)["status"]
        self._print(Text.assemble(f"{printable(what)} of run {printable(ack.run_id)}: ", (f"{status}", "bold")))

    def lineage(self, lineage: run_pb2.GetLineageResponse, *, depth: int, children: int) -> None:
        """A lineage; its tree is cut at `depth` and `children`, unless they are 0."""
        if self.as_json:
            self._json(json_lines.lineage_data(lineage))
            return
        self._print(lineage_tree(lineage, self.pen(), Cut(depth, children)))
        self._print(Text(f"{count(len(lineage.events), 'event')}, {count(len(lineage.runs), 'run')}", "dim"))

    def _list(
        self,
        listed: Listed[Any],
        noun: str,
        data: Callable[[Any], dict[str, Any]],
        table: Callable[[Sequence[Any], Pen, int], RenderableType],
    ) -> None:
        if self.as_json:
            for item in listed.items:
                self._json(data(item))
        elif not listed.items:
            self._print(Text(f"no {noun}s", "dim"))
        else:
            self._print(table(listed.items, self.pen(), self.console.width))
            if listed.has_more:
                self._print(tables.more(len(listed.items), noun))

    def _json(self, data: object) -> None:
        self.console.file.write(json_lines.line(data) + "\n")
        self.console.file.flush()

    def _print(self, what: RenderableType) -> None:
        self.console.print(what)
