"""SendEvents over a real socket: what is taken in, and what is refused with nothing changed."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from controlplane.core.limits import KIB, MIB, SECOND, Limits
from controlplane.engine.commands import FireTimers
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import event_pb2, run_pb2
from tests.rpc.conftest import NOW, Refusal, Served, refusal_of, serving

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_TRACE = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def request(*events: dict[str, Any], namespace: str = "") -> event_pb2.SendEventsRequest:
    """A batch."""
    return event_pb2.SendEventsRequest(namespace=namespace, events=[event_pb2.Event(**event) for event in events])


async def stored_events(served: Served) -> list[run_pb2.EventRecord]:
    """What is stored, newest first."""
    return list((await served.runs.ListEvents(run_pb2.ListEventsRequest())).events)


async def test_ids_come_in_order(served: Served) -> None:
    """An id of the caller's stays, others are made; all are stored as they were sent."""
    answer = await served.events.SendEvents(request({"name": "a"}, {"name": "b", "id": "mine"}, {"name": "c"}))
    assert len(answer.ids) == 3
    assert (answer.ids[1], answer.duplicates) == ("mine", 0)
    records = await stored_events(served)
    assert [(one.event.id, one.event.name) for one in reversed(records)] == list(zip(answer.ids, "abc", strict=True))
    assert {one.event.data.data for one in records} == {b"{}"}


async def test_a_repeated_call_changes_nothing(served: Served) -> None:
    """The same ids again are duplicates, in other batches and in their own."""
    batch = request({"name": "a", "id": "1"}, {"name": "b", "id": "2"})
    await served.events.SendEvents(batch)
    before = served.stored()
    answer = await served.events.SendEvents(batch)
    assert (list(answer.ids), answer.duplicates) == (["1", "2"], 2)
    assert served.stored() == before
    answer = await served.events.SendEvents(request({"name": "a", "id": "3"}, {"name": "a", "id": "3"}))
    assert (list(answer.ids), answer.duplicates) == (["3", "3"], 1)


async def test_an_event_of_the_future_waits(served: Served) -> None:
    """It is stored at once, and starts its run when its moment has come."""
    await served.register("checkout")
    event = event_pb2.Event(name="shop/order.created")
    event.ts.FromMicroseconds(NOW + 60 * SECOND)
    await served.events.SendEvents(event_pb2.SendEventsRequest(events=[event]))
    runs = run_pb2.ListRunsRequest()
    assert not (await served.runs.ListRuns(runs)).runs
    served.clock.moment += 60 * SECOND
    await served.mailbox.submit_internal(FireTimers(limit=10))
    assert len((await served.runs.ListRuns(runs)).runs) == 1


async def test_the_trace_is_the_events_or_the_calls_or_a_new_one(served: Served) -> None:
    """An event's own goes first, then the metadata; a bad one in the metadata counts as none."""

    async def trace_of(event: dict[str, Any], metadata: Any) -> tuple[str, str]:
        await served.events.SendEvents(request(event), metadata=metadata)
        newest = (await stored_events(served))[0].event
        return newest.traceparent, newest.tracestate

    both = (("traceparent", TRACE), ("tracestate", "v=1"))
    assert await trace_of({"name": "a"}, both) == (TRACE, "v=1")
    own = {"name": "a", "traceparent": OTHER_TRACE, "tracestate": "v=2"}
    assert await trace_of(own, both) == (OTHER_TRACE, "v=2")
    assert await trace_of({"name": "a"}, both[:1]) == (TRACE, "")
    for bad in ((("traceparent", "00-what"), both[1]), both[1:], ()):
        traceparent, tracestate = await trace_of({"name": "a"}, bad)
        assert len(traceparent) == len(TRACE)
        assert traceparent not in {TRACE, OTHER_TRACE}
        assert tracestate == ""


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        (request(), "events"),
        (request(*[{"name": "a"}] * 5_001), "events"),
        (request(*[{"name": "a", "data": {"data": b'"' + b"x" * 450 * KIB + b'"'}}] * 10), "events"),
        (request({"name": "a"}, {"name": ""}), "events[1].name"),
        (request({"name": "a\nb"}), "events[0].name"),
        (request({"name": "x" * 257}), "events[0].name"),
        (request({"name": "steplane/function.failed"}), "events[0].name"),
        (request({"name": "a", "id": "x" * 257}), "events[0].id"),
        (request({"name": "a"}, {"name": "a", "data": {"data": b"{'a': 1}"}}), "events[1].data"),
        (request({"name": "a", "data": {"data": b'{"a": "\xff"}'}}), "events[0].data"),
        (request({"name": "a", "data": {"data": b"[1]"}}), "events[0].data"),
        (request({"name": "a", "data": {"data": b'{"a":"' + b"x" * 512 * KIB + b'"}'}}), "events[0].data"),
        (request({"name": "a", "ts": {"seconds": -1}}), "events[0].ts"),
        (request({"name": "a", "ts": {"seconds": 253_402_300_799}}), "events[0].ts"),
        (request({"name": "a", "traceparent": "00-what"}), "events[0].traceparent"),
        (request({"name": "a"}, namespace="no/slash"), "namespace"),
    ],
)
async def test_bad_input_is_refused_and_changes_nothing(
    served: Served, batch: event_pb2.SendEventsRequest, field: str
) -> None:
    """INVALID_ARGUMENT with the field's path; none of the batch's other events is stored."""
    before = served.stored()
    refusal = await refusal_of(served.events.SendEvents(batch))
    assert (refusal.code, refusal.reason, list(refusal.violations)) == (INVALID, "INVALID_ARGUMENT", [field])
    assert field in refusal.message
    assert served.stored() == before


async def send_raw(served: Served, raw: bytes) -> Refusal:
    """The refusal of bytes that no stub would send."""
    return await refusal_of(served.channel.unary_unary("/steplane.v1.EventService/SendEvents")(raw))


async def test_a_text_that_is_not_utf8_is_refused(served: Served) -> None:
    """INVALID_ARGUMENT that says so, where gRPC itself would say UNKNOWN."""
    before = served.stored()
    raw = request({"name": "abc"}).SerializeToString().replace(b"abc", b"a\xff\xfe")
    refusal = await send_raw(served, raw)
    assert (refusal.code, list(refusal.violations)) == (INVALID, ["request"])
    assert "SendEventsRequest" in refusal.message
    assert "UTF-8" in refusal.message
    assert served.stored() == before


async def test_what_is_no_message_is_refused(served: Served) -> None:
    """Bytes that do not follow the contract are INVALID_ARGUMENT too."""
    assert (await send_raw(served, b"\xff\xff\xff")).code is INVALID


async def test_a_message_that_is_too_large_is_refused_for_good(served: Served) -> None:
    """Up to twice the limit it is told the limit; nothing beyond is even read. Neither is worth another try."""
    before = served.stored()
    refusal = await send_raw(served, b"\x00" * (8 * MIB + 1))
    assert (refusal.code, "8388608" in refusal.message, refusal.retry_seconds) == (INVALID, True, None)
    refusal = await send_raw(served, b"\x00" * (16 * MIB + 1))
    assert (refusal.code, refusal.retry_seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    assert served.stored() == before


async def test_the_limits_are_exact() -> None:
    """What is just within each limit is taken in, and one more is not."""
    limits = Limits(event_bytes_max=100, batch_events_max=3, batch_bytes_max=400)
    async with serving(Settings(limits=limits)) as served:
        largest = b'{"a":"' + b"x" * 92 + b'"}'
        await served.send("a", "b", "c", data=largest)
        refusal = await refusal_of(served.events.SendEvents(request(*[{"name": "a"}] * 4)))
        assert list(refusal.violations) == ["events"]
        refusal = await refusal_of(served.events.SendEvents(request({"name": "a", "data": {"data": largest + b" "}})))
        assert list(refusal.violations) == ["events[0].data"]
        refusal = await refusal_of(
            served.events.SendEvents(request(*[{"name": "x" * 100, "data": {"data": largest}}] * 3))
        )
        assert list(refusal.violations) == ["events"]
        assert len(await stored_events(served)) == 3


async def test_a_saturated_server_says_when_to_try_again() -> None:
    """RESOURCE_EXHAUSTED with a delay: the call that was refused left nothing, and the next one is taken."""
    limits = Limits(mailbox_commands_max=1)
    async with serving(Settings(limits=limits)) as served:
        calls = [served.events.SendEvents(request({"name": "a"})) for _ in range(200)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [one for one in answers if isinstance(one, grpc.aio.AioRpcError)]
        assert refused
        refusal = await refusal_of(_raised(refused[0]))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SATURATED")
        assert refusal.retry_seconds
        assert len((await served.runs.ListEvents(run_pb2.ListEventsRequest(page_size=1000))).events) == 200 - len(
            refused
        )
        await served.send("a")


async def _raised(error: grpc.aio.AioRpcError) -> None:
    raise error


async def test_a_server_that_stops_says_so(served: Served) -> None:
    """UNAVAILABLE: another server may take it, or this one in a moment."""
    served.mailbox.close()
    refusal = await refusal_of(served.events.SendEvents(request({"name": "a"})))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "STOPPING")


async def test_a_caller_that_gives_up_takes_nothing_back(served: Served) -> None:
    """An event whose call was cancelled may be stored, once, and does no harm to others."""
    call = served.events.SendEvents(request({"name": "a", "id": "1"}))
    call.cancel()
    await served.events.SendEvents(request({"name": "a", "id": "1"}, {"name": "b", "id": "2"}))
    assert sorted(one.event.id for one in await stored_events(served)) == ["1", "2"]
