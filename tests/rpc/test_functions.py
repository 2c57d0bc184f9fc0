"""FunctionService over a real socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from controlplane.core.limits import HOUR
from controlplane.gen.steplane.v1 import function_pb2, run_pb2
from tests.rpc.conftest import Served, refusal_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def registration(**changed: Any) -> function_pb2.RegisterFunctionRequest:
    """A good registration, but for what is changed in the definition."""
    values = {"app_id": "shop", "function_id": "checkout", "triggers": [{"event": {"event": "shop/*"}}]} | changed
    return function_pb2.RegisterFunctionRequest(definition=function_pb2.FunctionDefinition(**values))


async def test_a_function_is_registered_and_read(served: Served) -> None:
    """What was registered comes back, with its defaults filled in."""
    answer = await served.functions.RegisterFunction(registration(name="Check out"))
    assert (answer.version, list(answer.warnings)) == (1, [])
    function = (await served.functions.GetFunction(function_pb2.GetFunctionRequest(function_id="checkout"))).function
    assert (function.namespace, function.version, function.live_sessions) == ("default", 1, 0)
    assert (function.definition.name, function.definition.triggers[0].event.event) == ("Check out", "shop/*")
    assert (function.definition.retry.retries, len(function.definition.retry.delays)) == (4, 10)


async def test_registering_is_idempotent(served: Served) -> None:
    """The same again changes nothing; another definition raises the version, the old one again raises it too."""
    await served.functions.RegisterFunction(registration())
    before = served.stored()
    assert (await served.functions.RegisterFunction(registration())).version == 1
    assert served.stored() == before
    assert (await served.functions.RegisterFunction(registration(name="other"))).version == 2
    assert (await served.functions.RegisterFunction(registration())).version == 3


async def test_what_is_probably_not_meant_is_a_warning(served: Served) -> None:
    """It is registered all the same."""
    answer = await served.functions.RegisterFunction(registration(triggers=[{"event": {"event": "*"}}]))
    assert (answer.version, len(answer.warnings)) == (1, 1)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"app_id": "a b"}, "definition.app_id"),
        ({"triggers": []}, "definition.triggers"),
        (
            {"triggers": [{"event": {"event": "a", "expression": "event.data.("}}]},
            "definition.triggers[0].event.expression",
        ),
        ({"triggers": [{"cron": {"cron": "* * *"}}]}, "definition.triggers[0].cron"),
        ({"triggers": [{"cron": {"cron": "* * * * *", "time_zone": "Nowhere"}}]}, "definition.triggers[0].cron"),
        ({"retry": {"retries": 21}}, "definition.retry.retries"),
    ],
)
async def test_a_bad_definition_is_refused_and_changes_nothing(
    served: Served, changed: dict[str, Any], field: str
) -> None:
    """INVALID_ARGUMENT with the field's path; what was registered before stays."""
    await served.functions.RegisterFunction(registration())
    before = served.stored()
    refusal = await refusal_of(served.functions.RegisterFunction(registration(**changed)))
    assert (refusal.code, list(refusal.violations)) == (INVALID, [field])
    assert served.stored() == before


async def test_functions_are_listed_in_pages(served: Served) -> None:
    """By app and id, each on one page; sessions that serve them are counted."""
    for app_id, function_id in (("b", "x"), ("a", "y"), ("a", "x")):
        await served.functions.RegisterFunction(registration(app_id=app_id, function_id=function_id))
    worker = served.open_stream()
    await worker.send(hello={"app_id": "a", "function_ids": ["y"], "instance_id": "w"})
    await worker.expect("welcome")
    request = function_pb2.ListFunctionsRequest(page_size=2)
    first = await served.functions.ListFunctions(request)
    request.page_token = first.next_page_token
    second = await served.functions.ListFunctions(request)
    rows = [*first.functions, *second.functions]
    assert [(one.definition.app_id, one.definition.function_id, one.live_sessions) for one in rows] == [
        ("a", "x", 0),
        ("a", "y", 1),
        ("b", "x", 0),
    ]
    assert (len(first.functions), second.next_page_token) == (2, "")
    only = await served.functions.ListFunctions(function_pb2.ListFunctionsRequest(app_id="b"))
    assert [one.definition.app_id for one in only.functions] == ["b"]


async def test_a_function_is_found_by_its_id_if_that_is_enough(served: Served) -> None:
    """If two apps have one of that name, the caller has to say which."""
    for app_id in ("a", "b"):
        await served.functions.RegisterFunction(registration(app_id=app_id))
    get = function_pb2.GetFunctionRequest(function_id="checkout")
    refusal = await refusal_of(served.functions.GetFunction(get))
    assert (refusal.code, list(refusal.violations)) == (INVALID, ["app_id"])
    get.app_id = "b"
    assert (await served.functions.GetFunction(get)).function.definition.app_id == "b"


async def test_a_function_is_started_by_hand(served: Served) -> None:
    """One run of this function, and of no other; the same event id again starts nothing."""
    await served.functions.RegisterFunction(registration())
    await served.functions.RegisterFunction(registration(function_id="other", triggers=[{"event": {"event": "*"}}]))
    request = function_pb2.TriggerFunctionRequest(function_id="checkout", event_id="e1", data={"data": b'{"n":1}'})
    answer = await served.functions.TriggerFunction(request)
    assert answer.event_id == "e1"
    again = await served.functions.TriggerFunction(request)
    assert (again.event_id, again.run_id) == ("e1", "")
    (run,) = (await served.runs.ListRuns(run_pb2.ListRunsRequest())).runs
    assert (run.id, run.function_id) == (answer.run_id, "checkout")
    (event,) = (await served.runs.ListEvents(run_pb2.ListEventsRequest())).events
    assert event.event.data.data == b'{"n":1}'


@pytest.mark.parametrize(
    ("ask", "code", "fields"),
    [
        (lambda f: f.GetFunction(function_pb2.GetFunctionRequest(function_id="x")), "NOT_FOUND", []),
        (lambda f: f.TriggerFunction(function_pb2.TriggerFunctionRequest(function_id="x")), "NOT_FOUND", []),
        (
            lambda f: f.TriggerFunction(function_pb2.TriggerFunctionRequest(app_id="x", function_id="checkout")),
            "NOT_FOUND",
            [],
        ),
        (lambda f: f.GetFunction(function_pb2.GetFunctionRequest()), "INVALID_ARGUMENT", ["function_id"]),
        (
            lambda f: f.GetFunction(function_pb2.GetFunctionRequest(namespace="a b", app_id="a b", function_id="a b")),
            "INVALID_ARGUMENT",
            ["namespace", "app_id", "function_id"],
        ),
        (
            lambda f: f.TriggerFunction(
                function_pb2.TriggerFunctionRequest(function_id="checkout", event_id="\n", data={"data": b"1"})
            ),
            "INVALID_ARGUMENT",
            ["event_id", "data"],
        ),
        (lambda f: f.ListFunctions(function_pb2.ListFunctionsRequest(app_id="/")), "INVALID_ARGUMENT", ["app_id"]),
        (lambda f: f.ListFunctions(function_pb2.ListFunctionsRequest(page_size=-1)), "INVALID_ARGUMENT", ["page_size"]),
        (
            lambda f: f.ListFunctions(function_pb2.ListFunctionsRequest(page_token="x")),
            "INVALID_ARGUMENT",
            ["page_token"],
        ),
    ],
)
async def test_a_bad_question_is_refused_and_changes_nothing(
    served: Served, ask: Callable[[Any], Any], code: str, fields: list[str]
) -> None:
    """Each with its precise status."""
    await served.functions.RegisterFunction(registration(triggers=[{"cron": {"cron": "0 12 * * 5"}}]))
    before = served.stored()
    refusal = await refusal_of(ask(served.functions))
    assert (refusal.code, list(refusal.violations)) == (grpc.StatusCode[code], fields)
    assert served.stored() == before


async def test_a_tenant_sees_nothing_of_the_others(served: Served) -> None:
    """A function of another namespace is not found, not listed, not started."""
    await served.functions.RegisterFunction(registration())
    other = {"namespace": "other", "function_id": "checkout"}
    for call in (
        served.functions.GetFunction(function_pb2.GetFunctionRequest(**other)),
        served.functions.TriggerFunction(function_pb2.TriggerFunctionRequest(**other)),
    ):
        assert (await refusal_of(call)).code is grpc.StatusCode.NOT_FOUND
    listed = await served.functions.ListFunctions(function_pb2.ListFunctionsRequest(namespace="other"))
    assert not listed.functions


async def test_a_schedule_has_its_next_tick(served: Served) -> None:
    """A cron trigger's timer is there once it is registered."""
    await served.functions.RegisterFunction(registration(triggers=[{"cron": {"cron": "0 * * * *"}}]))
    with served.store.read() as reader:
        due = reader.next_due()
    assert due is not None
    assert due % HOUR == 0
    assert served.clock.moment < due <= served.clock.moment + HOUR
