"""Sending events from outside of runs."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from steplane import Event, FieldViolation, NotSerializableError, SendError, Steplane
from tests.sdk_py.peer import Peer


def status(code: int, *details: object) -> object:
    """What a server ends a call with."""
    message = status_pb2.Status(code=code, message="as the test wants it")
    for detail in details:
        message.details.add().Pack(detail)  # type: ignore[arg-type]  # a message
    return rpc_status.to_status(message)


def retry_in(seconds: float) -> error_details_pb2.RetryInfo:
    """When to try again."""
    delay = Duration()
    delay.FromTimedelta(timedelta(seconds=seconds))
    return error_details_pb2.RetryInfo(retry_delay=delay)


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)


async def test_events_are_sent_as_a_batch(client: Steplane, peer: Peer) -> None:
    """All events of a call are one request; ids come back in order, and are made where there are none."""
    ids = await client.send([Event(name="a/b", data={"x": 1}, id="mine"), Event(name="a/c")])
    (request,) = peer.sent
    assert request.namespace == "default"
    assert [(event.id, event.name, event.data.data) for event in request.events] == [
        ("mine", "a/b", b'{"x":1}'),
        (ids[1], "a/c", b"{}"),
    ]
    assert (ids[0], len(ids[1])) == ("mine", 26)


def test_events_are_sent_without_a_loop(client: Steplane, peer: Peer) -> None:
    """The blocking form needs no event loop; a single event needs no list."""
    (id_,) = client.send_sync(Event(name="a/b"))
    assert [event.id for event in peer.sent[0].events] == [id_]


async def test_the_blocking_form_works_beside_a_loop(client: Steplane, peer: Peer) -> None:
    """Also in a thread whose event loop runs, and in others; all share one connection."""
    client.send_sync(Event(name="a/b"))
    await asyncio.to_thread(client.send_sync, Event(name="a/c"))
    await client.send(Event(name="a/d"))
    assert [request.events[0].name for request in peer.sent] == ["a/b", "a/c", "a/d"]


async def test_nothing_is_sent_for_nothing(client: Steplane, peer: Peer) -> None:
    """No events, no call."""
    assert await client.send([]) == []
    assert peer.sent == []


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        status(code_pb2.UNAVAILABLE),
        status(code_pb2.UNAVAILABLE, retry_in(0.01)),
        status(code_pb2.RESOURCE_EXHAUSTED, retry_in(0.01)),
        status(code_pb2.DEADLINE_EXCEEDED),
        status(code_pb2.CANCELLED),
    ],
)
async def test_a_server_that_can_t_just_now_is_asked_again(
    client: Steplane, peer: Peer, answer: object, *, is_async: bool
) -> None:
    """The same events with the same ids are sent until they are taken."""
    peer.send_answers = [answer, answer, None]
    event = Event(name="a/b")
    ids = await client.send(event) if is_async else client.send_sync(event)
    assert [request.events[0].id for request in peer.sent] == ids * 3


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (status(code_pb2.RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED", "the server refused the events: as the test wants"),
        (status(code_pb2.PERMISSION_DENIED), "PERMISSION_DENIED", "refuses access"),
        (status(code_pb2.UNIMPLEMENTED), "UNIMPLEMENTED", "does not know this call"),
        (status(code_pb2.INTERNAL), "INTERNAL", "answers INTERNAL: as the test wants it"),
    ],
)
async def test_what_will_not_change_is_told_at_once(
    client: Steplane, peer: Peer, answer: object, code: str, text: str
) -> None:
    """An error that another try would meet again is raised; so is one that is too large for good."""
    peer.send_answers = [answer]
    with pytest.raises(SendError, match=text) as raised:
        await client.send(Event(name="a/b"))
    assert (raised.value.code, len(peer.sent)) == (code, 1)


async def test_bad_events_are_told_field_by_field(client: Steplane, peer: Peer) -> None:
    """The server's violations are in the error's text, and as values."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="events[1].name", description="is required")
    peer.send_answers = [status(code_pb2.INVALID_ARGUMENT, error_details_pb2.BadRequest(field_violations=[violation]))]
    with pytest.raises(SendError, match=r"(?s)refused the events.*events\[1\].name: is required") as raised:
        await client.send([Event(name="a"), Event(name="")])
    assert raised.value.violations == (FieldViolation("events[1].name", "is required"),)


@pytest.mark.parametrize("is_async", [True, False])
async def test_the_time_is_bounded(client: Steplane, peer: Peer, *, is_async: bool) -> None:
    """A server that never can is given up when the time is over, and not asked after it."""
    peer.send_answers = [status(code_pb2.UNAVAILABLE, retry_in(0.05)) for _ in range(100)]
    event, timeout = Event(name="a/b"), timedelta(seconds=2)
    with pytest.raises(SendError) as raised:
        await client.send(event, timeout=timeout) if is_async else client.send_sync(event, timeout=timeout)
    assert raised.value.code == "UNAVAILABLE"
    assert 1 < len(peer.sent) <= 41


async def test_a_try_that_the_end_of_the_time_cut_off_hides_no_cause(client: Steplane, peer: Peer) -> None:
    """That the time is over is known; why it was not enough is what the tries before met."""
    late = status(code_pb2.DEADLINE_EXCEEDED, retry_in(60))
    peer.send_answers = [status(code_pb2.UNAVAILABLE, retry_in(0.01)), late]
    with pytest.raises(SendError, match="answers UNAVAILABLE") as raised:
        await client.send(Event(name="a/b"), timeout=timedelta(seconds=5))
    assert (raised.value.code, len(peer.sent)) == ("UNAVAILABLE", 2)


async def test_a_send_can_be_cancelled(client: Steplane, peer: Peer) -> None:
    """Whoever waits for it need not wait to its end."""
    peer.send_answers = [status(code_pb2.UNAVAILABLE, retry_in(0.9))]
    sending = asyncio.create_task(client.send(Event(name="a/b")))
    while not peer.sent:  # noqa: ASYNC110 a thread of gRPC's sees it first
        await asyncio.sleep(0.001)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_what_is_no_json_is_not_sent(client: Steplane, peer: Peer) -> None:
    """The event that can't be sent is named; none of the batch is sent."""
    with pytest.raises(NotSerializableError, match="the data of event 1, 'a/c' is not JSON"):
        await client.send([Event(name="a/b"), Event(name="a/c", data={"x": object()})])
    assert peer.sent == []


async def test_a_client_that_was_closed_opens_again(client: Steplane, peer: Peer) -> None:
    """To close it frees its connection; another send makes one."""
    await client.send(Event(name="a/b"))
    client.close()
    client.close()
    await client.send(Event(name="a/c"))
    assert len(peer.sent) == 2
