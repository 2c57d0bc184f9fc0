"""The HTTP server: its port, its TLS, its connections. Knows nothing of what requests are for."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final

from controlplane.core.limits import Limits
from controlplane.http.connection import Connection, Door, Patience, Room
from controlplane.rpc.server import PortUnavailable

_CONNECTIONS_MAX: Final = 1_000
_HANDSHAKE_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 2.0


class HttpServer:
    """One server on one port: `start` it once, then `stop` it once."""

    def __init__(
        self,
        door: Door,
        *,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        patience: Patience | None = None,
        connections_max: int = _CONNECTIONS_MAX,
    ) -> None:
        self._door = door
        self._room = Room(limits.mailbox_bytes_max)
        self._tls = tls
        self._patience = patience if patience is not None else Patience()
        self._connections_max = connections_max
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._server: asyncio.Server
        self._is_stopping = False

    async def start(self, host: str, port: int) -> int:
        """Listen, and take requests; the port, which is a free one for port 0. Raises `PortUnavailable`."""
        try:
            listening = _listening(host, port)
        except OSError as error:
            raise PortUnavailable(f"can't listen at {host}:{port} for HTTP: {error.strerror or error}") from error
        self._server = await asyncio.start_server(
            self._connected,
            sock=listening,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls is not None else None,
            ssl_shutdown_timeout=_GOODBYE_SECONDS if self._tls is not None else None,
        )
        return int(listening.getsockname()[1])

    async def stop(self, grace_seconds: float) -> None:
        """Take no more requests, let those that are under way end within the grace time, and cut the others."""
        self._is_stopping = True
        self._server.close()
        for connection in self._connections:
            connection.finish()
        tasks = list(self._connections.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_stopping or len(self._connections) >= self._connections_max:
            writer.transport.abort()
            return
        connection = Connection(reader, writer, self._door, self._room, self._patience)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await connection.serve()
        finally:
            del self._connections[connection]


def tls_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """TLS as the gRPC port has it: with `client_ca`, clients must show a certificate that it signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key, password=lambda: b"")
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _listening(host: str, port: int) -> socket.socket:
    """One socket, so that port 0 is one port also for names of several addresses."""
    if ":" not in host:
        return socket.create_server((host, port))
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=both)
