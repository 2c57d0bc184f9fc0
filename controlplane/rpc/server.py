"""Builds the gRPC server: its port, its limits, its keepalive, health and reflection. Knows no service's work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from controlplane.core.limits import Limits
from controlplane.errors import StoreError
from controlplane.gen.steplane.v1 import (
    event_pb2,
    event_pb2_grpc,
    function_pb2,
    function_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
    work_pb2,
    work_pb2_grpc,
)
from controlplane.rpc.interceptors import Calls

SERVICE_NAMES: Final = tuple(
    service.full_name
    for file in (event_pb2, function_pb2, run_pb2, work_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)
"""The services that health and reflection tell of."""

_PING_INTERVAL_MIN_MS: Final = 9_000
_PING_MS: Final = 30_000
_PING_TIMEOUT_MS: Final = 10_000
_HEALTH_TOLD_SECONDS: Final = 1.0


class PortUnavailable(StoreError):
    """The server can't listen where it should."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """PEM texts. With `client_ca`, clients must show a certificate that it signed."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None


class Services(NamedTuple):
    """The servicers of all services."""

    events: event_pb2_grpc.EventServiceServicer
    functions: function_pb2_grpc.FunctionServiceServicer
    runs: run_pb2_grpc.RunServiceServicer
    work: work_pb2_grpc.WorkServiceServicer


class RpcServer:
    """One gRPC server on one port: `start` it once, then `stop` it once."""

    def __init__(self, services: Services, *, limits: Limits, tls: Tls | None, with_reflection: bool) -> None:
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=(Calls(message_bytes_max=limits.frame_bytes_max),), options=_options(limits)
        )
        self._tls = tls
        event_pb2_grpc.add_EventServiceServicer_to_server(services.events, self._server)
        function_pb2_grpc.add_FunctionServiceServicer_to_server(services.functions, self._server)
        run_pb2_grpc.add_RunServiceServicer_to_server(services.runs, self._server)
        work_pb2_grpc.add_WorkServiceServicer_to_server(services.work, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if with_reflection:
            reflection.enable_server_reflection(
                (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
            )

    async def start(self, address: str) -> int:
        """Listen at `host:port` and take calls; the port, which is a free one for port 0. Raises `PortUnavailable`."""
        try:
            if self._tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(self._tls))
        except RuntimeError as error:
            raise PortUnavailable(
                f"can't listen at {address}: the address is in use, or is not this machine's"
            ) from error
        await self._server.start()
        for name in SERVICE_NAMES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def tell_stopping(self) -> None:
        """Let health checks fail from now on, so that load balancers turn elsewhere."""
        # A watcher of health that does not read would keep it from returning.
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEALTH_TOLD_SECONDS):
                await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, let those that are open end within the grace time, and end the others."""
        await self._server.stop(grace_seconds)


def _options(limits: Limits) -> Sequence[tuple[str, int]]:
    return (
        # What is up to twice too large is read, to be refused with the limit named; gRPC itself refuses all beyond.
        ("grpc.max_receive_message_length", 2 * limits.frame_bytes_max),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port would each get half of the calls.
        ("grpc.so_reuseport", 0),
        # Clients may ping every 10 seconds, even without a call; the default takes that for an attack.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _PING_INTERVAL_MIN_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", _PING_MS),
        ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
    )


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
