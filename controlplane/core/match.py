"""Which functions an event starts: names, wildcards, expressions."""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.core.decision import Decision
from controlplane.core.definition import EventTrigger, FunctionRow
from controlplane.core.expression import event_value, is_true
from controlplane.core.records import EventRow

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
            return [found] if found else []
        return [
            function
            for (its_namespace, _, its_id), function in self.by_name.items()
            if its_namespace == namespace and its_id == function_id
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
            if function.namespace != namespace:
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
            if not expressions or _any_true(expressions, event):
                d.starting.append((event, function, None))


def name_matches(pattern: str, name: str) -> bool:
    """Whether a trigger's name takes an event's; a "*" at the end stands for any rest."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _any_true(expressions: tuple[str, ...], event: EventRow) -> bool:
    try:
        variables = {"event": event_value(event)}
    except (ValueError, RecursionError):
        return False
    return any(is_true(expression, variables) for expression in expressions)
