"""A lineage for people: event → runs → steps → the events they sent → runs …, as a tree. Pure: a message in, a tree out.

Built without recursion, since a function may well send the event that starts it again; and each run is drawn once,
since an event id may come back after its dedupe window.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.text import Text
from rich.tree import Tree

from controlplane.client_commands.show.run_page import run_status, step_action, step_status, trace_id
from controlplane.client_commands.show.times import micros
from controlplane.client_commands.show.words import (
    EVENT_LOOK,
    count,
    function_name,
    printable,
    run_look,
    step_look,
    step_name,
)
from controlplane.gen.steplane.v1 import run_pb2

if TYPE_CHECKING:
    from controlplane.client_commands.show.pen import Pen

_SETTLED: Final = run_pb2.STEP_STATE_COMPLETED
_PLAIN: Final = frozenset({run_pb2.STEP_KIND_UNSPECIFIED, run_pb2.STEP_KIND_RUN, run_pb2.STEP_KIND_SEND_EVENTS})
"""Kinds that need no word."""


class Cut(NamedTuple):
    """Where the tree is cut, so that it can be read. What is cut off is counted."""

    depth: int = 10
    """Events below one another."""
    children: int = 20
    """Events below one step or run, and steps below one run."""


def lineage_tree(lineage: run_pb2.GetLineageResponse, pen: Pen, cut: Cut) -> Tree:
    """The tree of a lineage that has at least its root."""
    return _Drawing(lineage, pen, cut).draw()


class _Drawing:
    """One tree on its way."""

    def __init__(self, lineage: run_pb2.GetLineageResponse, pen: Pen, cut: Cut) -> None:
        self._pen = pen
        self._cut = cut
        self._truncated = lineage.truncated
        self._root = lineage.events[0]
        self._trace = trace_id(self._root.event.traceparent)
        self._steps = {journal.run_id: journal.entries for journal in lineage.journals}
        self._runs: dict[str, list[run_pb2.Run]] = {}
        for run in lineage.runs:
            for event_id in run.event_ids or (run.event_id,):
                self._runs.setdefault(event_id, []).append(run)
        self._sent: dict[tuple[str, str], list[run_pb2.EventRecord]] = {}
        for record in lineage.events[1:]:
            self._sent.setdefault((record.source_run_id, record.source_step_key), []).append(record)
        self._drawn: set[str] = set()
        self._todo: deque[tuple[Tree, run_pb2.EventRecord, int]] = deque()

    def draw(self) -> Tree:
        tree = Tree(self._root_label(), guide_style="dim")
        self._todo.append((tree, self._root, 1))
        while self._todo:
            self._draw_runs(*self._todo.popleft())
        if self._truncated:
            tree.add(Text("… there is more than was asked for: --limit", "yellow"))
        return tree

    def _draw_runs(self, node: Tree, record: run_pb2.EventRecord, depth: int) -> None:
        found = self._runs.get(record.event.id, ())
        runs = [run for run in found if run.id not in self._drawn]
        if not runs and record is self._root and not self._truncated:
            node.add(Text("it started no run", "yellow"))
        for run in found:
            if run.event_ids and run.id in self._drawn:
                node.add(Text(f"in the batch of run {run.id}", "dim"))
        self._drawn.update(run.id for run in runs)
        for run in runs:
            self._draw_steps(node.add(self._run_label(run)), run, depth)

    def _draw_steps(self, node: Tree, run: run_pb2.Run, depth: int) -> None:
        plain_shown, hidden = 0, Counter[str]()
        for step in self._steps.get(run.id, ()):
            sent = self._sent.get((run.id, step.step_key), ())
            if not sent and step.state == _SETTLED:
                plain_shown += 1
                if self._cut.children and plain_shown > self._cut.children:
                    hidden[step_look(step.state).word] += 1
                    continue
            self._draw_sent(node.add(self._step_label(step)), sent, depth)
        if hidden:
            node.add(_hidden_steps(hidden))
        # What the server told of the run's end.
        self._draw_sent(node, self._sent.get((run.id, ""), ()), depth)

    def _draw_sent(self, node: Tree, sent: Sequence[run_pb2.EventRecord], depth: int) -> None:
        if not sent:
            return
        if self._cut.depth and depth >= self._cut.depth:
            node.add(_hidden_events(len(sent), "event", self._run_words(sent), "--depth"))
            return
        shown = len(sent) if not self._cut.children else self._cut.children
        for record in sent[:shown]:
            self._todo.append((node.add(self._event_label(record)), record, depth + 1))
        rest = sent[shown:]
        if rest:
            node.add(_hidden_events(len(rest), "more event", self._run_words(rest), "--children"))

    def _run_words(self, records: Iterable[run_pb2.EventRecord]) -> Counter[str]:
        runs = (run for record in records for run in self._runs.get(record.event.id, ()))
        return Counter(run_look(run.state).word for run in runs)

    def _root_label(self) -> Text:
        label = self._event_label(self._root)
        label.append("  ").append_text(self._pen.moment(micros(self._root.receive_time)))
        if self._root.source_run_id:
            step = printable(step_name(self._root.source_step_key))
            source = f"sent by step {step}" if step else "told of the end"
            label.append(f"\n{source} of run {self._root.source_run_id}", "dim")
        return label.append(f"\ntrace {self._trace}", "dim")

    def _event_label(self, record: run_pb2.EventRecord) -> Text:
        event = record.event
        label = Text.assemble(
            self._pen.symbol(EVENT_LOOK), " ", (printable(event.name), "bold"), (f"  {printable(event.id)}", "dim")
        )
        return self._with_trace(label, event.traceparent)

    def _run_label(self, run: run_pb2.Run) -> Text:
        label = Text.assemble(
            self._pen.symbol(run_look(run.state)),
            " ",
            printable(function_name(run)),
            (f"  {run.id}  ", "dim"),
            run_status(run, self._pen),
        )
        return self._with_trace(label, run.traceparent)

    def _step_label(self, step: run_pb2.JournalEntry) -> Text:
        label = Text.assemble(self._pen.symbol(step_look(step.state)), " ", printable(step_name(step.step_key)))
        if step.kind not in _PLAIN:
            label.append("  ").append_text(step_action(step))
        if step.kind == run_pb2.STEP_KIND_SEND_SIGNAL and step.run_id:
            label.append(f" to run {step.run_id}", "dim")
        if step.kind == run_pb2.STEP_KIND_SEND_EVENTS:
            label.append(f"  {count(len(step.event_ids), 'event')}", "dim")
        return label.append("  ").append_text(step_status(step, self._pen))

    def _with_trace(self, label: Text, traceparent: str) -> Text:
        found = trace_id(traceparent)
        return label if found == self._trace else label.append(f"  trace {found}", "dim")


def _hidden_steps(hidden: Counter[str]) -> Text:
    return Text(f"… {count(hidden.total(), 'more step')}: {_words(hidden)} (--children)", "dim")


def _hidden_events(number: int, noun: str, runs: Counter[str], option: str) -> Text:
    of_runs = f", their runs: {_words(runs)}" if runs else ""
    return Text(f"… {count(number, noun)}{of_runs} ({option})", "dim")


def _words(counted: Counter[str]) -> str:
    return ", ".join(f"{number:,} {word}" for word, number in counted.most_common())
