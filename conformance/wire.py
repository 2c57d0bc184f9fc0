"""The TCP connections between a worker and its relay, which can be broken at any time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_PIECE_BYTES_MAX = 65_536


class Wire:
    """Passes the bytes of all connections on to a port of this host."""

    def __init__(self) -> None:
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    async def start(self, port: int) -> str:
        """Take connections, for that port; returns the address at which it does."""
        self._port = port
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, own_port = self._listener.sockets[0].getsockname()
        return f"{host}:{own_port}"

    def cut(self) -> None:
        """Break all connections at once. What is under way on them is lost."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """Leave nothing behind."""
        assert self._listener is not None
        self._listener.close()
        self.cut()
        await self._listener.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._port)
        both = {writer, to_there}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(reader, to_there))
                group.create_task(_pass_on(there, writer))
        finally:
            self._writers -= both


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_PIECE_BYTES_MAX):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()
