"""POST /events: what is taken in, and what is refused with nothing stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.core.limits import KIB, Limits
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import event_pb2, run_pb2
from tests.http.conftest import Door, opened
from tests.rpc.conftest import NOW

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def stored(door: Door, namespace: str = "") -> list[event_pb2.Event]:
    """The events that are stored, oldest first."""
    answer = await door.served.runs.ListEvents(run_pb2.ListEventsRequest(namespace=namespace))
    return [record.event for record in reversed(answer.events)]


async def test_an_event_is_on_disk_when_its_id_comes_back(door: Door) -> None:
    """The answer has the form of SendEventsResponse; the event is stored as it was sent."""
    answer = await door.post({"name": "shop/order.created", "data": {"id": 7, "for": "Zoë"}})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    (event,) = await stored(door)
    assert answer.json == {"ids": [event.id], "duplicates": 0}
    assert (event.name, json.loads(event.data.data)) == ("shop/order.created", {"id": 7, "for": "Zoë"})


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_list_is_a_batch(door: Door, wrapped: bool) -> None:
    """Ids come in order; those that the caller chose stay. As a list, or as the request over gRPC would be in JSON."""
    events: list[Any] = [{"name": "a"}, {"name": "b", "id": "mine", "data": None}, {"name": "c", "data": {}}]
    answer = await door.post({"events": events} if wrapped else events)
    assert answer.status == 200
    assert answer.json["ids"] == [event.id for event in await stored(door)]
    assert answer.json["ids"][1] == "mine"
    assert [event.data.data for event in await stored(door)] == [b"{}"] * 3


async def test_an_id_that_is_known_starts_nothing(door: Door) -> None:
    """A webhook that is delivered twice makes one event, whichever door it came by."""
    await door.served.events.SendEvents(event_pb2.SendEventsRequest(events=[event_pb2.Event(name="a", id="1")]))
    for _ in range(2):
        answer = await door.post({"name": "a", "id": "1"})
        assert (answer.status, answer.json) == (200, {"ids": ["1"], "duplicates": 1})
    assert len(await stored(door)) == 1


@pytest.mark.parametrize("ts", ["2027-01-15T08:00:00.25Z", "2027-01-15T09:00:00.25+01:00", NOW // 1000 + 250])
async def test_a_moment_is_rfc_3339_or_milliseconds(door: Door, ts: Any) -> None:
    """As the contract writes moments, or as events have them in steps and expressions."""
    assert (await door.post({"name": "a", "ts": ts})).status == 200
    (event,) = await stored(door)
    assert event.ts.ToMicroseconds() == NOW + 250_000


async def test_numbers_stay_what_they_are(door: Door) -> None:
    """An integer beyond 64 bits is no float."""
    await door.post(b'{"name":"a","data":{"big":123456789012345678901234567890,"float":0.1}}')
    (event,) = await stored(door)
    assert event.data.data == b'{"big":123456789012345678901234567890,"float":0.1}'


async def test_a_traceparent_continues_the_trace(door: Door) -> None:
    """The lineage of what the event started has the trace id of the header; one that is not valid counts as none."""
    await door.served.register("checkout", event="shop/order.created")
    answer = await door.post({"name": "shop/order.created"}, traceparent=TRACE, tracestate="v=1")
    (event_id,) = answer.json["ids"]
    lineage = await door.served.runs.GetLineage(run_pb2.GetLineageRequest(event_id=event_id))
    assert [run.traceparent.split("-")[1] for run in lineage.runs] == [TRACE.split("-")[1]]
    assert [(record.event.traceparent, record.event.tracestate) for record in lineage.events] == [(TRACE, "v=1")]

    await door.post({"name": "shop/order.created"}, traceparent="00-what")
    assert (await stored(door))[-1].traceparent.split("-")[1] != TRACE.split("-")[1]
    await door.post({"name": "a", "traceparent": TRACE}, traceparent="00-" + "1" * 32 + "-" + "1" * 16 + "-01")
    assert (await stored(door))[-1].traceparent == TRACE


async def test_a_namespace_is_a_parameter(door: Door) -> None:
    """As the field of the request over gRPC; without it events go to the default one."""
    await door.post({"name": "a"}, "/events?namespace=shop-2")
    await door.post({"name": "b"}, "http://steplane/events?")
    assert [event.name for event in await stored(door, "shop-2")] == ["a"]
    assert [event.name for event in await stored(door)] == ["b"]


def event(**members: Any) -> dict[str, Any]:
    """An event with something wrong."""
    return {"name": "a", **members}


REFUSED: list[tuple[Any, str]] = [
    ([], "events"),
    ({"events": []}, "events"),
    ({"events": {}}, "events"),
    ([event()] * 5_001, "events"),
    ([event(data={"text": "x" * 450 * KIB})] * 10, "events"),
    (7, "events"),
    (None, "events"),
    ({"events": [event()], "namespace": "x"}, "namespace"),
    ([event(), 7], "events[1]"),
    ([event(), {}], "events[1].name"),
    ({"name": 7}, "events[0].name"),
    ({"name": "a\nb"}, "events[0].name"),
    ({"name": "steplane/function.failed"}, "events[0].name"),
    (b'{"name":"\\ud800"}', "events[0].name"),
    (event(id=7), "events[0].id"),
    (event(id="x" * 257), "events[0].id"),
    (event(data=[1]), "events[0].data"),
    (event(data="text"), "events[0].data"),
    (event(data={"x": "x" * 512 * KIB}), "events[0].data"),
    (b'{"name":"a","data":{"half":"\\ud800"}}', "events[0].data"),
    (b'{"name":"a","data":{"number":1e999}}', "events[0].data"),
    (event(ts="soon"), "events[0].ts"),
    (event(ts="2027-01-01T00:00:00"), "events[0].ts"),
    (event(ts=True), "events[0].ts"),
    (event(ts=[1]), "events[0].ts"),
    (b'{"name":"a","ts":1e999}', "events[0].ts"),
    (event(ts=-1), "events[0].ts"),
    (event(ts="9999-01-01T00:00:00Z"), "events[0].ts"),
    (event(traceparent="00-what"), "events[0].traceparent"),
    (event(tracestate=1), "events[0].tracestate"),
    (event(nmae="a"), "events[0].nmae"),
    (b'{"name":"a","\\ud800":1}', "events[0].?"),
    (b"", "body"),
    (b'{"name"', "body"),
    (b'{"name":"a","data":{"x":NaN}}', "body"),
    (b'{"name":"a","data":{"x":"\xff"}}', "body"),
    (b"[" * 100_000, "body"),
    (b'{"name":"a","ts":' + b"1" * 5_000 + b"}", "body"),
]


@pytest.mark.parametrize(("data", "field"), REFUSED, ids=lambda value: str(value)[:40])
async def test_bad_input_is_refused_with_its_field(door: Door, data: Any, field: str) -> None:
    """400 with the path of each field, as over gRPC; none of the batch is stored."""
    answer = await door.post(data)
    assert (answer.status, answer.reason, answer.fields) == (400, "INVALID_ARGUMENT", [field])
    assert field in answer.json["error"]["message"]
    assert await stored(door) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("namespace=no/slash", "namespace"),
        ("namespace=a&namespace=b", "namespace"),
        ("namespce=a", "namespce"),
        ("&".join(f"{n}=1" for n in range(11)), "query"),
    ],
)
async def test_a_bad_parameter_is_refused(door: Door, query: str, field: str) -> None:
    """A misspelt one must not send events elsewhere."""
    answer = await door.post({"name": "a"}, f"/events?{query}")
    assert (answer.status, answer.fields) == (400, [field])


async def test_no_more_is_told_than_fits(door: Door) -> None:
    """However many events are wrong."""
    answer = await door.post([{"nmae": "a"}] * 5_000)
    assert answer.status == 400
    assert len(answer.body) < 10_000


async def test_callers_of_a_full_server_are_told_when_to_come_again() -> None:
    """429 with Retry-After, where gRPC says RESOURCE_EXHAUSTED."""
    async with opened(Settings(limits=Limits(mailbox_commands_max=1, mailbox_bytes_max=64 * KIB))) as door:
        answer = await door.post(b" " * 65 * KIB)
        assert (answer.status, answer.reason, answer.headers["retry-after"]) == (429, "SATURATED", "1")
        assert (await door.post({"name": "a"})).status == 200


async def test_callers_of_a_stopping_server_are_told_so(door: Door) -> None:
    """503 with Retry-After, where gRPC says UNAVAILABLE."""
    door.served.mailbox.close_to_callers()
    answer = await door.post({"name": "a"})
    assert (answer.status, answer.reason, answer.headers["retry-after"]) == (503, "STOPPING", "1")
