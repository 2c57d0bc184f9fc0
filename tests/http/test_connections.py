"""How the port treats its clients: those that are wrong, slow, large, many, or in the middle of something."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from tests.http.conftest import JSON, Door, hasty, opened

EVENT = json.dumps({"name": "a", "id": "1", "data": {"secret": "swordfish"}}).encode()
TYPE = {"content-type": JSON}


async def test_a_connection_takes_one_request_after_the_other(door: Door) -> None:
    """Also after one that was refused for what it says."""
    async with door.client() as client:
        statuses = [(await client.ask("POST", "/events", data, TYPE)).status for data in (EVENT, b"{}", EVENT)]
    assert statuses == [200, 400, 200]


@pytest.mark.parametrize(
    ("method", "target", "status", "reason"),
    [
        ("POST", "/", 404, "UNKNOWN_PATH"),
        ("POST", "/events/", 404, "UNKNOWN_PATH"),
        ("POST", "//[", 404, "UNKNOWN_PATH"),
        ("GET", "/events", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/events", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_there_is_one_path_and_one_method(door: Door, method: str, target: str, status: int, reason: str) -> None:
    """The method that there is, is told."""
    answer = await door.post(EVENT, target, method)
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


async def test_an_answer_to_head_has_no_body(door: Door) -> None:
    """As HTTP has it."""
    async with door.client() as client:
        await client.say(b"HEAD /events HTTP/1.1\r\nhost: steplane\r\n\r\n")
        answer = await client.bare_answer()
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": ""},
        {"content-type": JSON, "content-encoding": "gzip"},
    ],
)
async def test_a_body_is_plain_json(door: Door, headers: dict[str, str]) -> None:
    """What a page of another site could send without leave is none, either."""
    async with door.client() as client:
        answer = await client.ask("POST", "/events", EVENT, headers)
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_a_charset_may_be_told(door: Door, kind: str) -> None:
    """If it is the right one."""
    assert (await door.post(EVENT, content_type=kind)).status == 200


async def test_a_body_that_is_too_large_is_not_read(door: Door) -> None:
    """413 before the first byte if its size is told, else as soon as there are too many."""
    async with door.client() as client:
        await client.begin("POST", "/events", 9 << 20, TYPE)
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.headers["connection"]) == (413, "BODY_TOO_LARGE", "close")
    async with door.client() as client:
        await client.say(b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n")
        await client.say(b"transfer-encoding: chunked\r\n\r\n" + (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") * 9)
        assert (await client.bare_answer()).startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_asks_whether_to_go_on_is_told(door: Door) -> None:
    """100 if the head will do, else what is wrong with it at once."""
    async with door.client() as client:
        await client.begin("POST", "/events", len(EVENT), TYPE | {"expect": "100-continue"})
        assert (await client.answer()).status == 100
        await client.body(EVENT)
        assert (await client.answer()).status == 200
    async with door.client() as client:
        await client.begin("POST", "/nowhere", len(EVENT), TYPE | {"expect": "100-continue"})
        assert (await client.answer()).status == 404


POST = b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nhost: a\r\nlong: " + b"x" * 131_072 + b"\r\n\r\n", 431),
        (POST + b"content-length: x\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\nwhat\r\n", 400),
    ],
)
async def test_what_is_no_http_is_refused(door: Door, raw: bytes, status: int) -> None:
    """With a status that says so, and the connection ends."""
    async with door.client() as client:
        await client.say(raw)
        assert (await client.bare_answer()).startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_client_that_says_nothing_is_let_go() -> None:
    """So that it does not cost a place for ever."""
    async with opened(patience=hasty(head=0.05)) as door, door.client() as client:
        assert await client.ended()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """408, as what came of it can't be stored."""
    async with opened(patience=hasty(body=0.05)) as door, door.client() as client:
        await client.begin("POST", "/events", len(EVENT), TYPE)
        await client.body(EVENT[:5])
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.headers["connection"]) == (408, "BODY_TOO_SLOW", "close")


async def test_a_client_that_goes_in_the_middle_leaves_nothing(door: Door) -> None:
    """Half of a body is no event, and no error of the server."""
    before = door.served.stored()
    with capture_logs() as lines:
        async with door.client() as client:
            await client.begin("POST", "/events", len(EVENT), TYPE)
            await client.body(EVENT[:5])
        await door.server.stop(10)
    assert [line["log_level"] for line in lines if line["log_level"] != "debug"] == []
    assert door.served.stored() == before


async def test_no_more_connections_than_there_may_be() -> None:
    """One more is cut, and the others go on."""
    async with opened(connections_max=1) as door, door.client() as first:
        assert (await first.ask("POST", "/events", EVENT, TYPE)).status == 200
        async with door.client() as second:
            assert await second.cut()
        assert (await first.ask("POST", "/events", EVENT, TYPE)).status == 200


async def test_a_request_that_is_under_way_is_answered_at_the_end(door: Door) -> None:
    """A connection without one ends at once."""
    async with door.client() as busy, door.client() as idle:
        assert (await idle.ask("POST", "/events", EVENT, TYPE)).status == 200
        await busy.begin("POST", "/events", len(EVENT), TYPE | {"expect": "100-continue"})
        assert (await busy.answer()).status == 100
        stopping = asyncio.create_task(door.server.stop(10))
        assert await idle.ended()
        await busy.body(EVENT)
        answer = await busy.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await stopping
        with pytest.raises(ConnectionRefusedError):
            await door.post(EVENT)


async def test_what_takes_longer_than_the_grace_is_cut(door: Door) -> None:
    """The server does not wait for a client that never goes on."""
    async with door.client() as client:
        await client.begin("POST", "/events", len(EVENT), TYPE | {"expect": "100-continue"})
        assert (await client.answer()).status == 100
        async with asyncio.timeout(5):
            await door.server.stop(0.05)
        assert await client.cut()


async def test_no_payload_is_logged(door: Door) -> None:
    """Answered or refused, a call is one line as over gRPC, without what was sent."""
    with capture_logs() as lines:
        await door.post(EVENT)
        await door.post(EVENT[:-5])
    events = [(line["event"], line["method"]) for line in lines if line["event"].startswith("call_")]
    assert events == [("call_answered", "POST /events"), ("call_refused", "POST /events")]
    assert "swordfish" not in str(lines)
