"""Which functions an event starts: names, wildcards, expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from controlplane.core.awaiting import meet as meet_step
from controlplane.core.decision import Decision
from controlplane.core.definition import EventTrigger, FunctionRow, FunctionState
from controlplane.core.expression import event_value, is_true
from controlplane.core.lifecycle import cancel
from controlplane.core.records import EventRow, WaitRow
from controlplane.core.states import ENDED
from controlplane.core.waits import WaitShapes, is_met, name_matches

#: Namespace, event, path and value.
WaitKey: TypeAlias = tuple[str, str, str, str]

_NOT_STARTED: Final = (FunctionState.DISABLED, FunctionState.DELETED)

_CACHE_NAMES_MAX = 10_000


class FunctionTable:
    """All functions, indexed by what triggers them. Never changed once made; it caches which names match what."""

    def __init__(self, functions: Iterable[FunctionRow]) -> None:
        self.by_key = {function.key: function for function in functions}
        self.by_name: dict[tuple[str, str, str], FunctionRow] = {
            (f.namespace, f.definition.app_id, f.definition.function_id): f for f in self.by_key.values()
        }
        self._candidates: dict[tuple[str, str], list[tuple[FunctionRow, tuple[str, ...]]]] = {}

    def find(self, namespace: str, app_id: str, function_id: str) -> list[FunctionRow]:
        """The functions of that id, in that app or, if `app_id` is empty, in any."""
        if app_id:
            found = self.by_name.get((namespace, app_id, function_id))
            return [found] if found and found.state is not FunctionState.DELETED else []
        return [
            function
            for (its_namespace, _, its_id), function in self.by_name.items()
            if its_namespace == namespace and its_id == function_id and function.state is not FunctionState.DELETED
        ]

    def candidates(self, namespace: str, name: str) -> list[tuple[FunctionRow, tuple[str, ...]]]:
        """The functions with a trigger for events of that name, each with its expressions: one has to be true.

        A trigger without an expression makes that list empty: the function is started in any case.
        """
        found = self._candidates.get((namespace, name))
        if found is None:
            if len(self._candidates) >= _CACHE_NAMES_MAX:
                self._candidates.clear()
            found = self._candidates[namespace, name] = self._find_candidates(namespace, name)
        return found

    def _find_candidates(self, namespace: str, name: str) -> list[tuple[FunctionRow, tuple[str, ...]]]:
        found = []
        for function in self.by_key.values():
            if function.namespace != namespace or function.state in _NOT_STARTED:
                continue
            expressions = [
                trigger.expression
                for trigger in function.definition.triggers
                if isinstance(trigger, EventTrigger) and name_matches(trigger.event, name)
            ]
            if expressions:
                found.append((function, tuple(expressions) if all(expressions) else ()))
        return found


def match(d: Decision, table: FunctionTable) -> None:
    """Find what the events to be matched start. An event starts a function once, however many triggers match."""
    for event in d.matching:
        for function, expressions in table.candidates(event.namespace, event.name):
            if d.not_started and d.not_started.get(event.key) == function.key:
                continue
            if not expressions or _any_true(expressions, event):
                d.starting.append((event, function, None))


def meet(
    d: Decision, events: Iterable[EventRow], found: Mapping[WaitKey, Sequence[WaitRow]], shapes: WaitShapes
) -> None:
    """Let events meet the steps that wait for them, and the runs that they cancel.

    The event that started a run does neither to it.
    """
    for event in events:
        for key in shapes.keys_of(event):
            for row in found.get(key, ()):
                run = d.runs.get(row.run_id)
                if run is None or run.state in ENDED or event.key == run.event_key:
                    continue
                if run.extra is not None and event.key in run.extra.more_events:
                    continue
                if not is_met(row, event, d.events.get(run.event_key)):
                    continue
                if row.step_key:
                    meet_step(d, row, event)
                elif row.expires_at is None or d.now < row.expires_at:
                    cancel(d, run, f"event {event.id} ({event.name}) cancelled it")


def _any_true(expressions: tuple[str, ...], event: EventRow) -> bool:
    try:
        variables = {"event": event_value(event)}
    except (ValueError, RecursionError):
        return False
    return any(is_true(expression, variables) for expression in expressions)
