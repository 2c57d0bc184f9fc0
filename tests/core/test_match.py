"""Which functions an event starts."""

from __future__ import annotations

import random

import pytest

from controlplane.core import match
from controlplane.core.decision import Decision
from controlplane.core.definition import CronTrigger, EventTrigger, FunctionRow
from controlplane.core.ids import Ids
from controlplane.core.limits import Limits
from controlplane.core.match import FunctionTable, name_matches
from controlplane.core.records import EventRow
from tests.store.rows import NOW, event, function

NAMES = [
    ("order/created", "order/created", True),
    ("order/created", "order/created2", False),
    ("order/created", "order/create", False),
    ("order/created", "Order/created", False),
    ("order/*", "order/created", True),
    ("order/*", "order/", True),
    ("order/*", "order", False),
    ("order/*", "orders/created", False),
    ("order*", "orders/created", True),
    ("*", "anything", True),
    ("*", "", True),
    ("*/created", "order/created", False),  # only a "*" at the end stands for anything
    ("*/created", "*/created", True),
    ("order/?", "order/x", False),
]


def made(key: int, *triggers: EventTrigger | CronTrigger, namespace: str = "default") -> FunctionRow:
    """A function with these triggers."""
    row = function(f"f{key}", namespace=namespace, key=key)
    return row._replace(definition=row.definition._replace(triggers=triggers))


def started(functions: list[FunctionRow], *events: EventRow) -> list[tuple[int, int]]:
    """Which events (by key) start which functions (by key)."""
    d = Decision(NOW, random.Random(0), Ids(NOW, random.Random(0)), Limits(), {f.key: f for f in functions})
    d.matching = list(events)
    match.match(d, FunctionTable(functions))
    assert all(incoming is None for _, _, incoming in d.starting)
    return [(row.key, f.key) for row, f, _ in d.starting]


@pytest.mark.parametrize(("pattern", "name", "expected"), NAMES)
def test_names(pattern: str, name: str, expected: bool) -> None:
    """A name matches itself, and a "*" at the end any rest."""

    assert expected is name_matches(pattern, name)


def test_an_event_starts_all_functions_that_match() -> None:
    """Each function of the namespace with a trigger that matches, and no other."""
    functions = [
        made(1, EventTrigger("order/created")),
        made(2, EventTrigger("order/*")),
        made(3, EventTrigger("order/paid")),
        made(4, EventTrigger("order/created"), namespace="other"),
        made(5, CronTrigger("* * * * *")),
    ]

    assert started(functions, event(1, name="order/created")) == [(1, 1), (1, 2)]
    assert started(functions, event(1, name="order/created", namespace="other")) == [(1, 4)]
    assert started(functions, event(1, name="user/created")) == []


def test_two_triggers_start_a_function_once() -> None:
    """However many of its triggers match, an event starts a function once."""
    functions = [made(1, EventTrigger("order/*"), EventTrigger("order/created"), EventTrigger("*", "true"))]

    assert started(functions, event(1, name="order/created")) == [(1, 1)]


def test_an_expression_decides() -> None:
    """A trigger with an expression counts if it is true; one without counts in any case."""
    large, small = event(1, name="order/created", data=b'{"total":9}'), event(2, name="order/created", data=b"{}")
    with_expression = EventTrigger("order/created", "event.data.total > 5")

    assert started([made(1, with_expression)], large, small) == [(1, 1)]
    assert started([made(1, with_expression, EventTrigger("order/*"))], large, small) == [(1, 1), (2, 1)]
    assert started([made(1, with_expression, EventTrigger("order/*", "false"))], large, small) == [(1, 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": b"{"},
        {"data": b"[" * 5_000 + b"]" * 5_000},
        {"data": b"\xff"},
        {"encoding": "raw", "data": b"{}"},
    ],
)
def test_data_that_is_no_json_makes_no_expression_true(changes: dict[str, bytes]) -> None:
    """What an expression can't read starts nothing, harms nothing, and hides no trigger without an expression."""
    broken = event(1, name="a", **changes)

    assert started([made(1, EventTrigger("a", "event.data.x == 1"))], broken) == []
    assert started([made(1, EventTrigger("a"))], broken) == [(1, 1)]


def test_a_table_finds_functions_by_name() -> None:
    """A function's id is enough where only one app has it; an app's id picks its own."""
    one = function("send", app_id="mail", key=1)
    two = function("send", app_id="chat", key=2)
    other = function("send", app_id="mail", namespace="other", key=3)
    table = FunctionTable([one, two, other])

    assert [one] == table.find("default", "mail", "send")
    assert [one, two] == table.find("default", "", "send")
    assert [other] == table.find("other", "", "send")
    assert table.find("default", "mail", "receive") == []
    assert table.find("none", "", "send") == []


def test_the_newest_definition_of_a_key_counts() -> None:
    """A row that comes later in the list takes the place of one of the same key."""
    table = FunctionTable([made(1, EventTrigger("a")), made(1, EventTrigger("b"))])

    assert table.candidates("default", "a") == []
    assert [f.key for f, _ in table.candidates("default", "b")] == [1]


def test_the_memory_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names without end, as anybody can send them, fill no memory."""
    monkeypatch.setattr(match, "_CACHE_NAMES_MAX", 3)
    table = FunctionTable([made(1, EventTrigger("order/*"))])

    for index in range(20):
        assert len(table.candidates("default", f"order/{index}")) == 1
        assert len(table._candidates) <= 3
