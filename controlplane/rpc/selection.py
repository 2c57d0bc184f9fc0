"""Works on many runs, a page at a time: those that match a selection."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from controlplane.core import expression
from controlplane.core.definition import FunctionRow
from controlplane.core.expression import event_value, is_true
from controlplane.core.states import ENDED, RunState
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.rpc import validate
from controlplane.rpc.questions import Questions
from controlplane.rpc.run_filter import moment, states
from controlplane.store.interface import Reader, RunFilter

_PAGE: int = 500
LIVE: tuple[RunState, ...] = tuple(state for state in RunState if state not in ENDED)


class Selection:
    """A checked selection."""

    def __init__(self, namespace: str, message: run_pb2.RunSelection, *, default_states: tuple[RunState, ...]) -> None:
        """Raises `InvalidArgument` for a selection that is wrong. Without states it has `default_states`."""
        found: validate.Violations = []
        problem = expression.check(message.expression) if message.expression else None
        if problem is not None:
            found.append(FieldViolation("selection.expression", problem))
        self._filter = RunFilter(
            namespace=validate.namespace_of(namespace, found),
            app_id=message.app_id,
            function_id=message.function_id,
            states=states(message, found, "selection.states") or default_states,
            created_min=moment(message, "create_time_min", found, "selection.create_time_min"),
            created_max=moment(message, "create_time_max", found, "selection.create_time_max"),
        )
        validate.refuse(found)
        self._expression = message.expression

    @property
    def namespace(self) -> str:
        """The namespace of its runs."""
        return self._filter.namespace

    async def pages(self, questions: Questions) -> AsyncGenerator[tuple[int, list[str]], None]:
        """How many runs were looked at, and the ids of those that match, newest first, a page at a time."""
        before = ""
        while True:
            seen, ids, before = await questions.ask(lambda reader: self._page(reader, before))  # noqa: B023 it is asked at once
            if seen:
                yield seen, ids
            if not before:
                return

    def _page(self, reader: Reader, before: str) -> tuple[int, list[str], str]:
        views = reader.list_runs(self._filter, before_id=before, limit=_PAGE)
        ids = [view.run.id for view in views]
        if self._expression:
            events = reader.events({view.run.event_key for view in views})
            ids = [
                view.run.id
                for view in views
                if (event := events.get(view.run.event_key)) is not None
                and is_true(self._expression, {"event": event_value(event)})
            ]
        return len(views), ids, views[-1].run.id if len(views) == _PAGE else ""


def of_function(row: FunctionRow) -> Selection:
    """All live runs of a function."""
    definition = row.definition
    message = run_pb2.RunSelection(app_id=definition.app_id, function_id=definition.function_id)
    return Selection(row.namespace, message, default_states=LIVE)
