"""Expressions: which are taken, and what they say of an event."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from controlplane.core.expression import check, event_value, is_true
from controlplane.core.limits import EXPRESSION_BYTES_MAX
from tests.store.rows import NOW, event

GOOD = [
    "true",
    "event.data.total > 100",
    'event.name.startsWith("order/") && !(event.data.paid)',
    'event.data.items.exists(item, item.sku == "x")',
    "event.data.items.all(i, i.n > 0) || event.data.items.exists_one(i, i.n == 1)",
    "event.data.items.map(i, i.n).filter(n, n > 1).size() == 2",
    "has(event.data.user) ? event.data.user.age >= 18 : false",
    'event.data.mail.matches("^[^@]+@example[.]org$")',
    'timestamp(event.data.at) < timestamp("2030-01-01T00:00:00Z")',
    "event.ts - 1000 > 0 && event.id != ''",
    "'a' in event.data.tags",
    "true || " * 100 + "false",
]
BAD = [
    ("", "is not valid CEL"),
    ("event.data.total >", "is not valid CEL"),
    ("event.data.total = 1", "is not valid CEL"),
    ("(" * 200, "is not valid CEL"),
    ("data.total > 1", "names 'data'"),
    ("event.data.total > now", "names 'now'"),
    ("event.data.all(x, y)", "names 'y'"),
    ("system('ls')", "calls 'system'"),
    ("event.data.sum() > 1", "calls 'sum'"),
    ("'" + "x" * EXPRESSION_BYTES_MAX + "'", f"is longer than {EXPRESSION_BYTES_MAX} bytes"),
]
TRUTHS: list[tuple[str, Any, bool]] = [
    ("event.data.total > 100", {"total": 101}, True),
    ("event.data.total > 100", {"total": 100}, False),
    ("event.data.total > 100", {"total": 100.5}, True),
    ("event.data.total > 100", {"total": "101"}, False),  # it errs
    ("event.data.total > 100", {}, False),  # it errs
    ("event.data.total > 100", None, False),
    ("event.data.total > 100", [1], False),
    ("event.data.total", {"total": True}, True),
    ("event.data.total", {"total": 1}, False),  # true, and nothing that is like it
    ("event.data.total", {"total": "true"}, False),
    ("event.data.a / event.data.b > 0", {"a": 1, "b": 0}, False),
    ("event.data.items[3] == 1", {"items": [1]}, False),
    ("event.data.n + 1 > 0", {"n": 2**63 - 1}, False),
    ("event.data.text.matches('(')", {"text": "x"}, False),
    ("timestamp(event.data.at) > timestamp('2020-01-01T00:00:00Z')", {"at": "noon"}, False),
    ("event.data.items.exists(i, i == 2)", {"items": [1, 2]}, True),
    ("has(event.data.user) && event.data.user.name == 'ö'", {"user": {"name": "ö"}}, True),
    ("event.name == 'shop/order.created' && event.id == 'event-1'", {}, True),
    (f"event.ts == {NOW // 1000}", {}, True),
    ("event.data == null", None, True),
]


@pytest.mark.parametrize("source", GOOD)
def test_good_expressions_are_taken(source: str) -> None:
    """What CEL's standard library can do, over an event."""

    assert check(source) is None


@pytest.mark.parametrize(("source", "problem"), BAD)
def test_bad_expressions_are_refused_with_the_reason(source: str, problem: str) -> None:
    """What can't work is refused when it is registered, in one line that says why."""
    found = check(source) or ""

    assert problem in found
    assert "\n" not in found


@pytest.mark.parametrize(("source", "data", "expected"), TRUTHS)
def test_truths(source: str, data: Any, expected: bool) -> None:
    """An expression that errs, or gives anything but true, is not true."""
    row = event(1, data=orjson.dumps(data), encoding="")

    assert check(source) is None
    assert expected is is_true(source, {"event": event_value(row)})


def test_an_event_as_expressions_see_it() -> None:
    """Milliseconds, and data that is parsed; no data counts as an empty object."""
    row = event(1, data=b"", encoding="")

    assert event_value(row) == {"id": "event-1", "name": "shop/order.created", "data": {}, "ts": NOW // 1000}
    assert event_value(row._replace(data=b"\x00", encoding="raw"))["data"] is None


def test_deeply_nested_data_is_taken() -> None:
    """Data as deep as the parser takes it breaks nothing."""
    depth = 1_000
    row = event(1, data=b'{"a":' * depth + b"1" + b"}" * depth, encoding="")

    assert is_true("has(event.data.a)", {"event": event_value(row)}) in (True, False)
