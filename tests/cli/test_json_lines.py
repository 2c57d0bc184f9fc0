"""Answers as JSON, for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.client_commands.show.json_lines import (
    event_data,
    function_data,
    line,
    lineage_data,
    payload_data,
    run_data,
)
from controlplane.gen.steplane.v1 import function_pb2, payload_pb2, run_pb2
from tests.cli.messages import event, run, step


def test_a_run_as_json() -> None:
    """Values are decoded, states are words, moments are RFC 3339, and what is not there is null."""
    data = run_data(run("R1", "shop/checkout", run_pb2.RUN_STATE_COMPLETED, event_id="E1", took=1.5, output=b"[1, 2]"))
    assert data["id"] == "R1"
    assert data["state"] == "completed"
    assert data["output"] == [1, 2]
    assert data["create_time"] == "2026-01-01T11:00:00Z"
    assert data["end_time"] == "2026-01-01T11:00:01.500Z"
    assert data["due_time"] is None
    assert data["failure"] is None
    assert "steps" not in data


def test_a_run_with_steps_as_json() -> None:
    """Steps are inside their run, with the words that tables show."""
    steps = [step("nap#0", run_pb2.STEP_STATE_PENDING, kind=run_pb2.STEP_KIND_SLEEP, took=None, due=5)]
    data = run_data(run("R1", "a/b", run_pb2.RUN_STATE_WAITING, event_id="E1"), steps)
    assert [(s["step_key"], s["kind"], s["state"]) for s in data["steps"]] == [("nap#0", "sleep", "pending")]


def test_an_event_as_json() -> None:
    """An event is one flat object, with where it came from."""
    data = event_data(event("E1", "shop/order.created", source=("R1", "send#0")))
    assert data["name"] == "shop/order.created"
    assert data["data"] == {"id": 1}
    assert data["source_run_id"] == "R1"
    assert event_data(event("E1", "shop/order.created"))["source_run_id"] is None


def test_a_function_as_json() -> None:
    """Of a trigger only its own kind is there."""
    definition = function_pb2.FunctionDefinition(
        app_id="a", triggers=[function_pb2.Trigger(event=function_pb2.EventTrigger(event="x"))]
    )
    data = function_data(function_pb2.Function(definition=definition, version=1))
    assert data["app_id"] == "a"
    assert data["triggers"] == [{"event": {"event": "x", "expression": None}}]


def test_a_functions_options_as_json() -> None:
    """Flow control has the names and the words of the contract; an option that is not set is null."""
    limit = function_pb2.ConcurrencyLimit(
        limit=3, scope=function_pb2.CONCURRENCY_SCOPE_APP, hold=function_pb2.CONCURRENCY_HOLD_RUN
    )
    singleton = function_pb2.Singleton(key="event.data.id", mode=function_pb2.SINGLETON_MODE_CANCEL)
    definition = function_pb2.FunctionDefinition(app_id="a", concurrency=[limit], singleton=singleton)
    paused = function_pb2.FUNCTION_STATE_PAUSED
    data = function_data(function_pb2.Function(definition=definition, state=paused))
    assert data["state"] == "paused"
    assert data["concurrency"] == [{"limit": 3, "key": None, "scope": "app", "hold": "run"}]
    assert data["singleton"] == {"key": "event.data.id", "mode": "cancel"}
    assert data["debounce"] is None


def test_what_a_run_needs_and_where_it_came_from_as_json() -> None:
    """The state that two words tell to people is one word, as `--state` takes it."""
    shown = run(
        "R2",
        "a/b",
        run_pb2.RUN_STATE_QUEUED,
        event_id="E1",
        event_ids=("E1", "E2"),
        need=run_pb2.RUN_NEED_WORKER,
        queued=5,
        replay_of="R1",
        deliveries=2,
    )
    data = run_data(shown)
    assert (data["need"], data["queue_time"]) == ("worker", "2026-01-01T11:00:05Z")
    assert (data["event_ids"], data["replay_of"], data["deliveries"]) == (["E1", "E2"], "R1", 2)
    assert run_data(run("R1", "a/b", run_pb2.RUN_STATE_SET_ASIDE, event_id="E1"))["state"] == "set_aside"


def test_steps_that_wait_as_json() -> None:
    """What they wait for, and the run that they invoked."""
    steps = [step("a#0", kind=run_pb2.STEP_KIND_INVOKE, target="a/c", run_id="R2", event_ids=("E2",))]
    data = run_data(run("R1", "a/b", run_pb2.RUN_STATE_WAITING, event_id="E1"), steps)
    (shown,) = data["steps"]
    assert (shown["kind"], shown["target"], shown["run_id"]) == ("invoke", "a/c", "R2")


def test_a_lineage_as_json() -> None:
    """Flat lists of events and of runs with their steps; nothing is nested deeper, however deep the tree is."""
    lineage = run_pb2.GetLineageResponse(
        events=[event("E1", "x")],
        runs=[run("R1", "a/b", run_pb2.RUN_STATE_COMPLETED, event_id="E1")],
        journals=[run_pb2.RunJournal(run_id="R1", entries=[step("s#0")])],
        truncated=True,
    )
    data = lineage_data(lineage)
    assert [e["id"] for e in data["events"]] == ["E1"]
    assert [[s["step_key"] for s in r["steps"]] for r in data["runs"]] == [["s#0"]]
    assert data["truncated"] is True


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        (payload_pb2.Payload(), None),
        (payload_pb2.Payload(data=b"null"), None),
        (payload_pb2.Payload(data=b'"x"', encoding="json"), "x"),
        (payload_pb2.Payload(data=b"{", encoding="json"), {"encoding": "json", "base64": "ew=="}),
        (payload_pb2.Payload(data=b"\xff"), {"encoding": "json", "base64": "/w=="}),
        (payload_pb2.Payload(data=b"[" * 100_000), {"encoding": "json", "base64": "W1tb" * 33_333 + "Ww=="}),
        (payload_pb2.Payload(data=b"1", encoding="binary"), {"encoding": "binary", "base64": "MQ=="}),
    ],
)
def test_values_that_are_no_json_are_shown_as_bytes(payload: payload_pb2.Payload, data: Any) -> None:
    """A value is decoded if it can be; else its bytes are there in base64, and nothing breaks."""
    assert payload_data(payload) == data


def test_a_line_is_one_line_that_cannot_steer_a_terminal() -> None:
    """Line ends and control characters are escaped; other characters are left as they are."""
    text = line({"a": "ü\n\x1b[2J"})
    assert text == '{"a": "ü\\n\\u001b[2J"}'
    escaped = line({"a": "\x9b2J"})
    assert "\x9b" not in escaped
    assert json.loads(escaped) == {"a": "\x9b2J"}
