"""The HTTP door of a server as its operator sees it: off unless asked for, under the same TLS, and gone with the server."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.conftest import SECONDS_MAX, Server

Serve = Callable[..., Server]

TLS = Path(__file__).parent / "tls"
EVENT = b'{"name":"app/thing.done","id":"e1"}'
HEAD = b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(EVENT)


def post(connection: http.client.HTTPConnection) -> Any:
    """Send an event; the answer."""
    connection.request("POST", "/events", EVENT, {"content-type": "application/json"})
    return json.loads(connection.getresponse().read())


def test_it_is_off_by_default(serve: Serve) -> None:
    """No port is opened that nobody asked for."""
    server = serve()
    assert server.wait_for("server_started")["http"] is None
    assert server.ready_file.read_text() == f"{server.address}\n"


def test_the_ready_file_tells_where_it_is(serve: Serve) -> None:
    """In a line below the address, which stays where it was."""
    server = serve("--http-listen", "127.0.0.1:0")
    assert server.wait_for("server_started")["http"] == server.http_url
    place = urlsplit(server.http_url)
    assert (place.scheme, place.hostname) == ("http", "127.0.0.1")
    with closing(http.client.HTTPConnection(place.netloc, timeout=SECONDS_MAX)) as client:
        assert post(client) == {"ids": ["e1"], "duplicates": 0}
    server.send("e1")


def test_the_variable_turns_it_on(serve: Serve) -> None:
    """As any setting; a port that is taken is told, and nothing is left of the start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = serve(STEPLANE_HTTP_LISTEN=address)
        assert server.wait() == 1
    assert address in server.lines[-1]["reason"]
    assert not server.ready_file.exists()


def test_tls_is_that_of_the_other_port(serve: Serve) -> None:
    """Clients that the authority did not sign for get nowhere."""
    pem = {"tls_cert": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.pem"}
    server = serve(
        "--http-listen", "127.0.0.1:0", **{f"STEPLANE_{name.upper()}": str(TLS / file) for name, file in pem.items()}
    )
    server.wait_for("server_started")
    place = urlsplit(server.http_url)
    assert place.scheme == "https"
    context = ssl.create_default_context(cafile=TLS / "ca.pem")
    with (
        closing(http.client.HTTPSConnection(place.netloc, timeout=SECONDS_MAX, context=context)) as stranger,
        pytest.raises(OSError, match=r"certificate required|[Cc]onnection|EOF"),
    ):
        post(stranger)
    context.load_cert_chain(TLS / "client.pem", TLS / "client.key")
    with closing(http.client.HTTPSConnection(place.netloc, timeout=SECONDS_MAX, context=context)) as friend:
        assert post(friend)["ids"] == ["e1"]


def test_a_request_in_the_middle_is_answered_when_the_server_stops(serve: Serve) -> None:
    """As gRPC callers are; and one that does not go on holds up nobody."""
    server = serve("--http-listen", "127.0.0.1:0")
    server.wait_for("server_started")
    place = urlsplit(server.http_url)
    with (
        socket.create_connection((place.hostname, place.port), timeout=SECONDS_MAX) as slow,
        socket.create_connection((place.hostname, place.port), timeout=SECONDS_MAX) as client,
    ):
        for each in (slow, client):
            each.sendall(HEAD + b"expect: 100-continue\r\n\r\n")
            assert each.recv(100).startswith(b"HTTP/1.1 100 ")
        server.signal(signal.SIGTERM)
        server.wait_for("server_stopping")
        client.sendall(EVENT)
        with client.makefile("rb") as answer:
            told = answer.read()
        # Whether it came before the engine took no more is a matter of chance.
        assert told.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 "))
        assert set(json.loads(told.partition(b"\r\n\r\n")[2])) in ({"ids", "duplicates"}, {"error"})
        assert server.wait() == 0
