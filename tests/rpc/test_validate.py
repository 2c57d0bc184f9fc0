"""What is refused, field by field, each beside its neighbour that is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.limits import DAY, EVENT_DELAY_MAX, SECOND, Limits
from controlplane.core.records import NewEvent
from controlplane.gen.steplane.v1 import function_pb2, work_pb2
from controlplane.rpc import validate

NOW = 1_800_000_000 * SECOND
LIMITS = Limits(event_bytes_max=100, batch_events_max=10, batch_bytes_max=1_000)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("name", ["a", "shop/order.created", "App weekly email", "büro/öffnet", "x" * 256, "a*b"])
def test_a_good_name(name: str) -> None:
    """Any printable text of up to 256 bytes is an event's name."""
    assert validate.name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "required"),
        (" ", "space"),
        (" a", "space"),
        ("a ", "space"),
        ("a\nb", "control"),
        ("a\x00b", "control"),
        ("a\x7f", "control"),
        ("a\u200bb", "printed"),
        ("a\u00a0b", "printed"),
        ("x" * 257, "257 bytes"),
        ("ß" * 129, "258 bytes"),
        ("steplane/tick", "reserved"),
        ("steplane/", "reserved"),
    ],
)
def test_a_bad_name(name: str, problem: str) -> None:
    """Each wrong name is told what is wrong with it."""
    assert problem in (validate.name_problem(name) or "")


@pytest.mark.parametrize("text", ["a", "A.b_c-9", "x" * 128])
def test_a_good_slug(text: str) -> None:
    """Letters, digits, dots, underscores and dashes."""
    assert validate.slug_problem(text) is None


@pytest.mark.parametrize("text", ["", "a b", "a/b", "ä", "a\n", "x" * 129])
def test_a_bad_slug(text: str) -> None:
    """Nothing else is the id of an app or a function."""
    assert validate.slug_problem(text) is not None


@pytest.mark.parametrize("key", ["a#0", "send email#12", "a#b#3", "ü#0", "x" * 254 + "#0"])
def test_a_good_step_key(key: str) -> None:
    """A step's id, "#" and an occurrence."""
    assert validate.step_key_problem(key) is None


@pytest.mark.parametrize("key", ["", "a", "#0", "a#", "a#-1", "a#01", "a#x", "a\n#0", "x" * 255 + "#0"])
def test_a_bad_step_key(key: str) -> None:
    """Nothing else is a step's key."""
    assert validate.step_key_problem(key) is not None


def event(**changed: object) -> NewEvent:
    """A good event, but for what is changed."""
    return NewEvent("", "shop/order.created", b"{}", "", None, "", "")._replace(**changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"id": "x" * 256},
        {"id": "ö"},
        {"data": b'{"a": [1, null, "\xc3\xbc"]}'},
        {"data": b' {"a": 1, "a": 2} '},
        {"data": b'{"a":"' + b"x" * 92 + b'"}'},
        {"data": b"\xff", "encoding": "binary/encrypted"},
        {"data": b"", "encoding": "binary/encrypted"},
        {"encoding": "json"},
        {"ts": 0},
        {"ts": NOW + EVENT_DELAY_MAX},
        {"traceparent": TRACE},
        {"traceparent": TRACE, "tracestate": "vendor=1,other=2"},
    ],
)
def test_a_good_event(changed: dict[str, object]) -> None:
    """It is taken as it is."""
    assert validate.events([event(**changed)], LIMITS, NOW) == []


@pytest.mark.parametrize(
    ("changed", "path", "problem"),
    [
        ({"name": ""}, "name", "required"),
        ({"id": "x" * 257}, "id", "257 bytes"),
        ({"id": "a\nb"}, "id", "control"),
        ({"data": b""}, "data", "not JSON"),
        ({"data": b"{"}, "data", "not JSON"),
        ({"data": b"[]"}, "data", "not an object"),
        ({"data": b"null"}, "data", "not an object"),
        ({"data": b"1"}, "data", "not an object"),
        ({"data": b'{"a": NaN}'}, "data", "not JSON"),
        ({"data": b'{"a": 1e999}'}, "data", "not JSON"),
        ({"data": b'{"a": "\\ud800"}'}, "data", "not JSON"),
        ({"data": b'{"a": "\xff"}'}, "data", "UTF-8"),
        ({"data": b'{"a": "\xed\xa0\x80"}'}, "data", "UTF-8"),
        ({"data": b"\xef\xbb\xbf{}"}, "data", "not JSON"),
        ({"data": b"{} {}"}, "data", "not JSON"),
        ({"data": b'{"a":"' + b"x" * 93 + b'"}'}, "data", "101 bytes"),
        ({"data": b"x" * 101, "encoding": "binary"}, "data", "101 bytes"),
        ({"encoding": "a\nb"}, "data.encoding", "control"),
        ({"encoding": "x" * 129}, "data.encoding", "129 bytes"),
        ({"ts": -1}, "ts", "before 1970"),
        ({"ts": NOW + EVENT_DELAY_MAX + 1}, "ts", "366 days ahead"),
        ({"traceparent": "00-abc"}, "traceparent", "W3C"),
        ({"traceparent": TRACE.upper()}, "traceparent", "W3C"),
        ({"traceparent": TRACE.replace("b7ad6b7169203331", "0" * 16)}, "traceparent", "W3C"),
        ({"traceparent": TRACE, "tracestate": "x" * 513}, "tracestate", "513"),
        ({"traceparent": TRACE, "tracestate": "a\nb"}, "tracestate", "ASCII"),
    ],
)
def test_a_bad_event(changed: dict[str, object], path: str, problem: str) -> None:
    """The violation names the event by its place and the field by its path, and nothing else."""
    (found,) = validate.events([event(), event(**changed)], LIMITS, NOW)
    assert found.field == f"events[1].{path}"
    assert problem in found.description


def test_all_that_is_wrong_is_told() -> None:
    """Every field of every event, but no more than 20 violations in all."""
    bad = event(name="", id="\n", data=b"")
    found = validate.events([bad, event(), bad], LIMITS, NOW)
    assert [one.field for one in found] == [
        "events[0].name", "events[0].id", "events[0].data", "events[2].name", "events[2].id", "events[2].data",
    ]  # fmt: skip
    assert len(validate.events([bad] * 10, LIMITS, NOW)) == 20


@pytest.mark.parametrize(
    ("count", "size", "problem"),
    [(0, 0, "at least one"), (11, 10, "11 events"), (10, 1_001, "1001 bytes")],
)
def test_a_bad_batch(count: int, size: int, problem: str) -> None:
    """An empty batch, one event too many, one byte too many."""
    (found,) = validate.batch(count, size, LIMITS)
    assert (found.field, problem in found.description) == ("events", True)
    assert validate.batch(10, 1_000, LIMITS) == []


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_are_not(data: bytes) -> None:
    """Whatever the bytes are, there is an answer and no error."""
    validate.event_problems(event(data=data), LIMITS, NOW)


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_is_not(text: str) -> None:
    """Whatever the text is, there is an answer and no error; what is taken has a limit."""
    for check in (validate.name_problem, validate.step_key_problem, validate.slug_problem):
        if check(text) is None:
            assert len(text.encode()) <= 256


def definition(**changed: object) -> function_pb2.FunctionDefinition:
    """A good definition, but for what is changed."""
    values: dict[str, object] = {
        "app_id": "shop",
        "function_id": "checkout",
        "triggers": [{"event": {"event": "shop/*"}}, {"cron": {"cron": "0 12 * * 5", "time_zone": "Europe/Berlin"}}],
    }
    return function_pb2.FunctionDefinition(**(values | changed))  # type: ignore[arg-type]


def violations(message: function_pb2.FunctionDefinition) -> dict[str, str]:
    """What is wrong with a definition, by field."""
    found: validate.Violations = []
    validate.definition(message, found)
    return dict(found)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"name": "Check out"},
        {"triggers": [{"event": {"event": "*"}}] * 10},
        {"triggers": [{"event": {"event": "steplane/function.failed"}}]},
        {"triggers": [{"event": {"event": "a", "expression": "event.data.total > 100.0"}}]},
        {"triggers": [{"cron": {"cron": "*/5 * * * *"}}]},
        {"retry": {"retries": 20}},
        {"retry": {"retries": 0, "delays": [{"seconds": 0}, {"seconds": 86400}], "jitter": {"seconds": 86400}}},
    ],
)
def test_a_good_definition(changed: dict[str, object]) -> None:
    """It is taken; a trigger may name the server's own events."""
    assert violations(definition(**changed)) == {}


@pytest.mark.parametrize(
    ("changed", "field", "problem"),
    [
        ({"app_id": ""}, "definition.app_id", "required"),
        ({"app_id": "a/b"}, "definition.app_id", "letters"),
        ({"function_id": "a b"}, "definition.function_id", "letters"),
        ({"name": "a\nb"}, "definition.name", "control"),
        ({"triggers": []}, "definition.triggers", "1 to 10"),
        ({"triggers": [{"event": {"event": "a"}}] * 11}, "definition.triggers", "11 triggers"),
        ({"triggers": [{}]}, "definition.triggers[0]", "neither"),
        ({"triggers": [{"event": {}}]}, "definition.triggers[0].event.event", "required"),
        ({"triggers": [{"event": {"event": "a*b"}}]}, "definition.triggers[0].event.event", "end"),
        ({"triggers": [{"event": {"event": "**"}}]}, "definition.triggers[0].event.event", "end"),
        ({"triggers": [{"event": {"event": "x" * 257}}]}, "definition.triggers[0].event.event", "257"),
        (
            {"triggers": [{"event": {"event": "a", "expression": "event.data. >"}}]},
            "definition.triggers[0].event.expression",
            "CEL",
        ),
        (
            {"triggers": [{"event": {"event": "a", "expression": "evnt.data.a == 1"}}]},
            "definition.triggers[0].event.expression",
            "evnt",
        ),
        ({"triggers": [{"cron": {"cron": "61 * * * *"}}]}, "definition.triggers[0].cron", "61"),
        ({"triggers": [{"cron": {"cron": ""}}]}, "definition.triggers[0].cron", "fields"),
        (
            {"triggers": [{"cron": {"cron": "* * * * *", "time_zone": "Mars/Base"}}]},
            "definition.triggers[0].cron",
            "Mars/Base",
        ),
        ({"retry": {"retries": 21}}, "definition.retry.retries", "20"),
        ({"retry": {"delays": [{"seconds": 1}] * 21}}, "definition.retry.delays", "21 delays"),
        ({"retry": {"delays": [{"seconds": 1}, {"seconds": -1}]}}, "definition.retry.delays[1]", "24 hours"),
        ({"retry": {"delays": [{"seconds": 86400, "nanos": 1000}]}}, "definition.retry.delays[0]", "24 hours"),
        ({"retry": {"jitter": {"seconds": DAY}}}, "definition.retry.jitter", "24 hours"),
    ],
)
def test_a_bad_definition(changed: dict[str, object], field: str, problem: str) -> None:
    """The violation names the field by its path, and nothing else."""
    found = violations(definition(**changed))
    assert list(found) == [field]
    assert problem in found[field]


def hello(**changed: object) -> work_pb2.Hello:
    """A good hello, but for what is changed."""
    values: dict[str, object] = {"app_id": "shop", "function_ids": ["a"], "instance_id": "host-1/2"}
    return work_pb2.Hello(**(values | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"namespace": "a b"}, "hello.namespace"),
        ({"app_id": ""}, "hello.app_id"),
        ({"function_ids": []}, "hello.function_ids"),
        ({"function_ids": ["a"] * 1001}, "hello.function_ids"),
        ({"function_ids": ["a", "b c"]}, "hello.function_ids[1]"),
        ({"instance_id": ""}, "hello.instance_id"),
        ({"instance_id": "x" * 129}, "hello.instance_id"),
        ({"sdk": "a\nb"}, "hello.sdk"),
        ({"language": "x" * 257}, "hello.language"),
    ],
)
def test_a_bad_hello(changed: dict[str, object], field: str) -> None:
    """The violation names the field; a good hello has none."""
    assert [one.field for one in validate.hello(hello(**changed))] == [field]
    assert validate.hello(hello(sdk="steplane-py/0.1.0", namespace="prod")) == []


def test_the_namespace_is_default_unless_named() -> None:
    """An empty one means "default"; a wrong one is a violation."""
    found: validate.Violations = []
    assert validate.namespace_of("", found) == "default"
    assert validate.namespace_of("prod", found) == "prod"
    assert found == []
    validate.namespace_of("no/slash", found)
    assert [one.field for one in found] == ["namespace"]
