"""What a connection that does not work is told as."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from steplane import Event, SendError, Steplane, Tls
from steplane.transport import Target
from tests.sdk_py.conftest import Running
from tests.sdk_py.peer import Peer

Start: TypeAlias = Callable[..., Running]

TLS = Path(__file__).parent.parent / "app" / "tls"
CERTIFICATE, KEY = TLS / "server.pem", TLS / "server.key"


class Page(http.server.BaseHTTPRequestHandler):
    """A web page."""

    def do_GET(self) -> None:
        """Answer with a page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def web_tls() -> Iterator[str]:
    """The address of a web server that speaks TLS."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def peer_tls() -> Iterator[Peer]:
    """A scripted server that speaks TLS."""
    peer = Peer(grpc.ssl_server_credentials([(KEY.read_bytes(), CERTIFICATE.read_bytes())]))
    yield peer
    peer.stop()


def problem(address: str, tls: Tls | None = None, method: str = "/steplane.v1.EventService/SendEvents") -> str:
    """What is said about a call to this address."""
    target = Target(address, tls)
    with target.open() as channel:
        try:
            channel.unary_unary(method)(b"", timeout=30)
        except grpc.RpcError as error:
            return str(target.explain(error))
    return "no problem"


def test_nobody_there() -> None:
    """A server that is not running, or a wrong port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert f"nothing answers at {address}. Is the server running, and is the address right?" in problem(address)


def test_an_unknown_host() -> None:
    """A name that is none."""
    assert "the host name of no-such-host.invalid:7100 is not known" in problem("no-such-host.invalid:7100")


def test_a_web_server(web: str) -> None:
    """A page where gRPC should be."""
    assert "answers like a web server, and not with gRPC. Is there a proxy or a web page" in problem(web)


def test_a_web_server_with_tls(web_tls: str) -> None:
    """The same behind TLS."""
    assert "answers like a web server" in problem(web_tls, Tls(ca=CERTIFICATE))


def test_tls_asked_without_tls(peer_tls: Peer) -> None:
    """A client without TLS at a server with it."""
    assert "If it speaks TLS, use Steplane(tls=True)" in problem(peer_tls.address)


def test_tls_where_there_is_none(peer: Peer) -> None:
    """A client with TLS at a server without it."""
    text = problem(peer.address, Tls(ca=CERTIFICATE))
    assert "does not speak TLS, but this client does. Leave out tls=..." in text


def test_a_certificate_that_nobody_trusts(peer_tls: Peer) -> None:
    """A certificate of an authority that was not given."""
    assert "can't be trusted. Give its authority by tls=Tls(ca='ca.pem')" in problem(peer_tls.address, Tls())


def test_the_right_certificate(peer_tls: Peer) -> None:
    """With its authority, all is well; a path may be a text, and PEM may be bytes."""
    assert problem(peer_tls.address, Tls(ca=str(CERTIFICATE))) == "no problem"
    assert problem(peer_tls.address, Tls(ca=CERTIFICATE.read_bytes())) == "no problem"


def test_a_server_that_knows_no_such_call(peer: Peer) -> None:
    """gRPC, but not Steplane; or an older one."""
    assert "does not know this call" in problem(peer.address, method="/steplane.v1.EventService/SendEverything")


def test_a_worker_says_what_is_wrong(web: str, caplog: pytest.LogCaptureFixture) -> None:
    """It can't connect, and says why, and how to mend it; and goes on trying."""
    client = Steplane(app_id="app", address=web)
    client.create_function(fn_id="f", trigger=[])(print)
    logged = threading.Event()
    caplog.handler.addFilter(lambda _: logged.set() or True)
    running = Running(client.worker())
    assert logged.wait(30)
    running.stop()
    running.join()
    assert f"not connected to Steplane: {web} answers like a web server" in caplog.text


def test_sending_says_what_is_wrong(web: str) -> None:
    """So does `send`, in its error."""
    client = Steplane(app_id="app", address=web)
    with pytest.raises(SendError, match="answers like a web server") as raised:
        client.send_sync(Event(name="a"), timeout=timedelta(seconds=2))
    assert raised.value.code == "UNAVAILABLE"
    client.close()
