"""Each way to fail to reach a server is told in plain words, with a remedy and its exit code."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import grpc
import pytest
from click.testing import CliRunner, Result

from controlplane.client_commands import COMMANDS

STEPLANE = click.Group("steplane", commands={command.name or "": command for command in COMMANDS})


def invoke(*arguments: str) -> Result:
    """What a client command says."""
    return CliRunner().invoke(STEPLANE, arguments)


@pytest.fixture
def grpc_server() -> Iterator[grpc.Server]:
    """A gRPC server that knows no service."""
    server = grpc.server(ThreadPoolExecutor(1))
    yield server
    server.stop(None).wait()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def test_nothing_listens() -> None:
    """A refused connection asks whether the server runs, and exits with 3."""
    result = invoke("runs", "--address", "127.0.0.1:1")
    assert result.exit_code == 3
    assert "nothing listens at 127.0.0.1:1" in result.stderr
    assert "steplane serve" in result.stderr
    assert result.stdout == ""


def test_no_such_host() -> None:
    """A name that no resolver knows is told as that."""
    result = invoke("runs", "--address", "no-such-host.invalid:7100")
    assert result.exit_code == 3
    assert "there is no host of that name" in result.stderr


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:7100", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "", ":7100"]
)
def test_what_is_no_address_is_told_before_any_call(address: str) -> None:
    """An address has a host and a port, and nothing else; exits with 2."""
    result = invoke("runs", "--address", address)
    assert result.exit_code == 2
    assert "HOST:PORT" in result.stderr


def test_a_web_server_answers() -> None:
    """What speaks HTTP and no gRPC is recognised."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        result = invoke("runs", "--address", f"127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert result.exit_code == 3
    assert "does not speak gRPC" in result.stderr


def test_another_grpc_service_answers(grpc_server: grpc.Server) -> None:
    """A server without Steplane's services is recognised."""
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    result = invoke("runs", "--address", f"127.0.0.1:{port}")
    assert result.exit_code == 3
    assert "does not know this call" in result.stderr


def test_tls_to_a_server_without(grpc_server: grpc.Server) -> None:
    """TLS spoken to a plaintext server is told as that."""
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    result = invoke("runs", "--tls", "--address", f"127.0.0.1:{port}")
    assert result.exit_code == 3
    assert "does not speak TLS" in result.stderr


def test_plaintext_to_a_server_with_tls(grpc_server: grpc.Server, certificate: tuple[Path, Path]) -> None:
    """Plaintext spoken to a TLS server asks whether TLS is meant."""
    port = _secure_port(grpc_server, certificate)
    result = invoke("runs", "--address", f"127.0.0.1:{port}")
    assert result.exit_code == 3
    assert "Does it expect TLS?" in result.stderr


def test_a_certificate_that_nobody_vouches_for(grpc_server: grpc.Server, certificate: tuple[Path, Path]) -> None:
    """An untrusted certificate names the option to trust it."""
    port = _secure_port(grpc_server, certificate)
    result = invoke("runs", "--tls", "--address", f"localhost:{port}")
    assert result.exit_code == 3
    assert "--tls-ca FILE" in result.stderr


def test_a_certificate_for_another_host(grpc_server: grpc.Server, certificate: tuple[Path, Path]) -> None:
    """A trusted certificate of another name is told as that."""
    port = _secure_port(grpc_server, certificate)
    result = invoke("runs", "--tls-ca", str(certificate[0]), "--address", f"127.0.0.1:{port}")
    assert result.exit_code == 3
    assert "is for another host name" in result.stderr


def test_tls_as_it_should_be(grpc_server: grpc.Server, certificate: tuple[Path, Path]) -> None:
    """With the right authority and name the call arrives (at a server that does not know it)."""
    port = _secure_port(grpc_server, certificate)
    result = invoke("runs", "--tls-ca", str(certificate[0]), "--address", f"localhost:{port}")
    assert "does not know this call" in result.stderr


def test_half_a_client_certificate() -> None:
    """A certificate without its key is a usage error."""
    result = invoke("runs", "--client-cert", __file__)
    assert result.exit_code == 2
    assert "go together" in result.stderr


def test_an_answer_that_never_comes() -> None:
    """A server that is silent is given up on after --timeout; exits with 3."""
    silent = grpc.server(ThreadPoolExecutor(1), handlers=[_Silent()])
    port = silent.add_insecure_port("127.0.0.1:0")
    silent.start()
    try:
        result = invoke("runs", "--timeout", "0.2", "--address", f"127.0.0.1:{port}")
    finally:
        _Silent.released.set()
        silent.stop(None).wait()
    assert result.exit_code == 3
    assert "--timeout" in result.stderr


class _Silent(grpc.GenericRpcHandler):
    """Takes every call and never answers."""

    released = threading.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.released.wait()
            return b""

        return grpc.unary_unary_rpc_method_handler(wait)


def _secure_port(server: grpc.Server, certificate: tuple[Path, Path]) -> int:
    cert, key = certificate
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())]))
    server.start()
    return port
