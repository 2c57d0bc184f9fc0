"""Sending signals from outside of runs: to one run, once."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from google.rpc import code_pb2

from steplane import NotSerializableError, SendError, Steplane
from tests.sdk_py.peer import Peer
from tests.sdk_py.test_sending import retry_in, status


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)


async def send(client: Steplane, *args: Any, is_async: bool, **options: Any) -> str:
    """Send a signal, by one of the two ways."""
    if is_async:
        return await client.send_signal(*args, **options)
    return client.send_signal_sync(*args, **options)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_signal_tells_who_got_it(client: Steplane, peer: Peer, *, is_async: bool) -> None:
    """Its name and its data go to the server, and the id of the run that waited for it comes back."""
    assert await send(client, "approve/1", {"by": "me"}, is_async=is_async) == "r1"
    assert await send(client, "approve/2", is_async=is_async) == "r1"
    assert [(each.namespace, each.signal, each.data.data) for each in peer.signalled] == [
        ("default", "approve/1", b'{"by":"me"}'),
        ("default", "approve/2", b"null"),
    ]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_signal_that_nobody_waits_for_is_told(client: Steplane, peer: Peer, *, is_async: bool) -> None:
    """As an error whose code a program can look at."""
    peer.send_answers = [status(code_pb2.NOT_FOUND)]
    with pytest.raises(SendError, match="the server refused signal 'approve/1': as the test wants it") as raised:
        await send(client, "approve/1", is_async=is_async)
    assert (raised.value.code, len(peer.signalled)) == ("NOT_FOUND", 1)


@pytest.mark.parametrize(
    "answer", [status(code_pb2.UNAVAILABLE, retry_in(0.01)), status(code_pb2.RESOURCE_EXHAUSTED, retry_in(0.01))]
)
async def test_a_signal_that_was_not_taken_is_sent_again(client: Steplane, peer: Peer, answer: object) -> None:
    """A server that says when to come again has not taken it."""
    peer.send_answers = [answer, answer]
    assert await client.send_signal("approve/1") == "r1"
    assert len(peer.signalled) == 3


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL"])
async def test_a_signal_that_may_have_been_taken_is_not_sent_again(client: Steplane, peer: Peer, code: str) -> None:
    """The next step that waits for it would get what the last one had got already."""
    peer.send_answers = [status(code_pb2.Code.Value(code))]
    with pytest.raises(SendError, match="signal 'approve/1' could not be sent") as raised:
        await client.send_signal("approve/1")
    assert (raised.value.code, len(peer.signalled)) == (code, 1)


async def test_a_signal_finds_a_server_that_begins_later() -> None:
    """What never left is tried again until the time is over: nothing answers at this port yet."""
    first = Peer()
    first.stop()
    client = Steplane(app_id="app", address=first.address)
    # If the last try ends with the time itself, nobody knows whether it left.
    with pytest.raises(SendError, match=r"nothing answers at|does not answer in time"):
        await client.send_signal("approve/1", timeout=timedelta(seconds=2))
    second = Peer(port=first.port)
    assert await client.send_signal("approve/1") == "r1"
    client.close()
    second.stop()


async def test_what_is_no_json_is_not_sent(client: Steplane, peer: Peer) -> None:
    """The signal that can't be sent is named."""
    with pytest.raises(NotSerializableError, match="the data of signal 'approve/1' is not JSON"):
        await client.send_signal("approve/1", {1, 2})
    assert peer.signalled == []
