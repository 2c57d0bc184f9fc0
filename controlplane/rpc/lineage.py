"""The lineage of an event: level by level from the root, so that what a limit cuts off is farthest from it.

It cannot go in circles: an event is stored after the run that sends it, and a run after the event that starts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from controlplane.core.records import EventRow, JournalRow
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.rpc.translate import event_record, journal_messages, run_message
from controlplane.store.interface import Reader, RunView

_CHUNK_STEPS: Final = 1_000
"""So many steps are read at once, or those of one run."""


def build_lineage(reader: Reader, root: EventRow, *, run_limit: int, bytes_max: int) -> run_pb2.GetLineageResponse:
    """All that came of an event: up to `run_limit` runs, as many events below the root, and about `bytes_max`."""
    return _Lineage(reader, run_limit, bytes_max).build(root)


class _Lineage:
    """A lineage on its way."""

    def __init__(self, reader: Reader, run_limit: int, bytes_max: int) -> None:
        self._reader = reader
        self._runs_left = run_limit
        self._events_left = run_limit
        self._bytes_left = bytes_max
        self._answer = run_pb2.GetLineageResponse()

    def build(self, root: EventRow) -> run_pb2.GetLineageResponse:
        self._add_events([root])
        level = [root]
        while level:
            runs = self._runs_of(level)
            self._add_runs(runs)
            level = [] if self._answer.truncated else self._events_of(runs)
            self._add_events(level)
        return self._answer

    def _runs_of(self, events: Sequence[EventRow]) -> list[RunView]:
        found = self._reader.runs_of_events([event.key for event in events], self._runs_left + 1)
        self._answer.truncated |= len(found) > self._runs_left
        runs = found[: self._runs_left]
        self._runs_left -= len(runs)
        return runs

    def _events_of(self, runs: Sequence[RunView]) -> list[EventRow]:
        if not runs:
            return []
        found = self._reader.events_sent_by([view.run.id for view in runs], self._events_left + 1)
        self._answer.truncated |= len(found) > self._events_left
        events = found[: self._events_left]
        self._events_left -= len(events)
        return events

    def _add_events(self, events: Sequence[EventRow]) -> None:
        for event in events:
            message = event_record(event)
            self._bytes_left -= message.ByteSize()
            self._answer.events.append(message)

    def _add_runs(self, runs: Sequence[RunView]) -> None:
        for chunk in _chunks(runs):
            journals = self._reader.journals([view.run.id for view in chunk if view.run.step_count])
            for view in chunk:
                if self._bytes_left <= 0:
                    self._answer.truncated = True
                    return
                self._add_run(view, journals.get(view.run.id, ()))

    def _add_run(self, view: RunView, journal: Sequence[JournalRow]) -> None:
        run = run_message(view)
        if run.HasField("failure"):
            run.failure.stack = ""
        self._answer.runs.append(run)
        self._bytes_left -= run.ByteSize()
        if journal:
            steps = run_pb2.RunJournal(run_id=view.run.id, entries=journal_messages(view.run, journal))
            for entry in steps.entries:
                if entry.HasField("failure"):
                    entry.failure.stack = ""
            self._answer.journals.append(steps)
            self._bytes_left -= steps.ByteSize()


def _chunks(runs: Sequence[RunView]) -> Iterator[list[RunView]]:
    """The runs, in parts whose journals can be read at once."""
    chunk: list[RunView] = []
    steps = 0
    for view in runs:
        if chunk and steps + view.run.step_count > _CHUNK_STEPS:
            yield chunk
            chunk, steps = [], 0
        chunk.append(view)
        steps += view.run.step_count
    if chunk:
        yield chunk
