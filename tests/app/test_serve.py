"""A server as its operator sees it: how it starts, refuses to start, and stops."""

from __future__ import annotations

import signal
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from controlplane import VERSION
from tests.app.conftest import SECONDS_MAX, Server

Serve = Callable[..., Server]

SERVICES = ["EventService", "FunctionService", "RunService", "WorkService"]
TLS = Path(__file__).parent / "tls"


def _health(channel: grpc.Channel, service: str = "") -> str:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS_MAX)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def test_it_serves_and_says_so(serve: Serve) -> None:
    """Once the ready file is there calls are taken; health and reflection tell of every service."""
    server = serve()
    line = server.wait_for("server_started")

    assert server.address == line["address"]
    assert (line["version"], line["db"]) == (VERSION, str(server.db))
    with server.channel() as channel:
        assert [_health(channel, name) for name in ["", *(f"steplane.v1.{name}" for name in SERVICES)]] == [
            "SERVING"
        ] * 5
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([ask]), timeout=SECONDS_MAX)
    named = {service.name for service in answer.list_services_response.service}
    assert {f"steplane.v1.{name}" for name in SERVICES} <= named


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to(serve: Serve, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end it without an error, and nobody waits for its ready file in vain."""
    server = serve()
    server.wait_for("server_started")
    server.send("e1")

    server.signal(number)

    assert server.wait() == 0
    assert [line["event"] for line in server.lines][-2:] == ["server_stopping", "server_stopped"]
    assert not server.ready_file.exists()
    assert not server.db.with_name("steplane.db-wal").exists()


def test_a_second_server_on_the_same_file_is_refused(serve: Serve) -> None:
    """It says who has the file, and leaves the first one alone."""
    first = serve()
    first.wait_for("server_started")
    address = first.address

    second = serve("--ready-file", str(first.ready_file) + "-2")

    assert second.wait() == 1
    reason = second.lines[-1]["reason"]
    assert str(first.db) in reason
    assert str(first.process.pid) in reason
    assert first.address == address
    with first.channel() as channel:
        assert _health(channel) == "SERVING"


def test_a_port_that_is_taken_is_refused(serve: Serve) -> None:
    """Two processes on one port would share the calls between them."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        server = serve("--listen", f"127.0.0.1:{port}")

        assert server.wait() == 1
        assert f"127.0.0.1:{port}" in server.lines[-1]["reason"]
    assert not server.ready_file.exists()


def test_plaintext_for_other_machines_must_be_asked_for(serve: Serve) -> None:
    """Without TLS an address that others can reach is refused, with the reason; a flag accepts it."""
    refused = serve("--listen", "0.0.0.0:0")

    assert refused.wait() == 2
    assert "without TLS" in "".join(refused.said)

    accepted = serve("--listen", "0.0.0.0:0", STEPLANE_ALLOW_PLAINTEXT="1")
    accepted.wait_for("server_started")


def test_all_that_is_wrong_with_the_settings_is_told_at_once(serve: Serve) -> None:
    """Every problem is named with its source, and nothing was started or made."""
    server = serve("--session-timeout", "soon", STEPLANE_RETENTION="7 bananas")

    assert server.wait() == 2
    told = "".join(server.said)
    assert "--session-timeout" in told
    assert "STEPLANE_RETENTION" in told
    assert not server.db.exists()


def test_tls_is_spoken_and_clients_are_checked(serve: Serve) -> None:
    """With a certificate only TLS is taken; with an authority for clients only those that it signed."""
    pem = {"tls_cert": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.pem"}
    server = serve(**{f"STEPLANE_{name.upper()}": str(TLS / file) for name, file in pem.items()})
    server.wait_for("server_started")
    ca, key, cert = ((TLS / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem"))

    with grpc.secure_channel(server.address, grpc.ssl_channel_credentials(ca, key, cert)) as channel:
        assert _health(channel) == "SERVING"
    for refused in (grpc.secure_channel(server.address, grpc.ssl_channel_credentials(ca)), server.channel()):
        with refused as channel, pytest.raises(grpc.RpcError):
            _health(channel)


def test_the_version_is_that_of_the_package() -> None:
    """What the server says it is, is what was installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION
