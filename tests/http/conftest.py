"""The HTTP door on a real socket, in front of a whole engine, and clients that say exactly what they are told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import h11
import pytest

from controlplane.engine.settings import Settings
from controlplane.http.connection import Patience
from controlplane.http.events import EventDoor
from controlplane.http.server import HttpServer
from controlplane.rpc.send_events import EventService
from tests.rpc.conftest import PATIENCE_SECONDS, Served, serving

JSON = "application/json"


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What it tells."""
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Why it was refused."""
        return str(self.json["error"]["reason"])

    @property
    def fields(self) -> list[str]:
        """What was wrong."""
        return [violation["field"] for violation in self.json["error"]["violations"]]


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.CLIENT)

    async def say(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(raw)
        await self._writer.drain()

    async def begin(self, method: str, target: str, size: int, headers: dict[str, str]) -> None:
        """Send a request's head."""
        all_headers = {"host": "steplane", "content-length": str(size)} | headers
        head = h11.Request(method=method, target=target, headers=list(all_headers.items()))
        await self.say(self._protocol.send(head) or b"")

    async def body(self, data: bytes) -> None:
        """Send some of its body."""
        await self.say(self._protocol.send(h11.Data(data=data)) or b"")

    async def ended(self) -> bool:
        """Whether the server ends the connection, and says nothing more."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._reader.read(1) == b""

    async def cut(self) -> bool:
        """Whether the server ends the connection, however it does."""
        try:
            return await self.ended()
        except ConnectionResetError:
            return True

    async def bare_answer(self) -> bytes:
        """What comes, up to the end of the connection."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._reader.read()

    async def answer(self) -> Answer:
        """The next response, or the next one in between such as 100."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._event()
            if isinstance(head, h11.InformationalResponse):
                return Answer(head.status_code, {}, b"")
            assert isinstance(head, h11.Response), head
            body = b""
            while isinstance(part := await self._event(), h11.Data):
                body += bytes(part.data)
        headers = {name.decode(): value.decode() for name, value in head.headers}
        return Answer(head.status_code, headers, body)

    async def ask(self, method: str, target: str, data: bytes, headers: dict[str, str]) -> Answer:
        """A whole request, and its answer."""
        await self.begin(method, target, len(data), headers)
        await self.body(data)
        await self.say(self._protocol.send(h11.EndOfMessage()) or b"")
        answer = await self.answer()
        if self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE:
            self._protocol.start_next_cycle()
        return answer

    async def close(self) -> None:
        """Go away."""
        self._writer.close()

    async def _event(self) -> Any:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self._reader.read(65536))
        return event


@dataclass
class Door:
    """A door, and what is behind it."""

    served: Served
    server: HttpServer
    port: int

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            await client.close()

    async def post(self, data: Any, target: str = "/events", method: str = "POST", **headers: str) -> Answer:
        """A request on a connection of its own; `data` are bytes, or what JSON is to be made of."""
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        named = {"content-type": JSON} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client() as client:
            return await client.ask(method, target, raw, named)


Open: TypeAlias = Callable[..., AbstractAsyncContextManager[Door]]


@asynccontextmanager
async def opened(settings: Settings | None = None, **options: Any) -> AsyncIterator[Door]:
    """A door with these settings; the options are those of `HttpServer`."""
    async with serving(settings) as served:
        limits = (settings or Settings()).limits
        events = served.services.events
        assert isinstance(events, EventService)
        server = HttpServer(EventDoor(events, limits=limits), limits=limits, **options)
        port = await server.start("127.0.0.1", 0)
        yield Door(served, server, port)
        await server.stop(0)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A door with the default settings."""
    async with opened() as one:
        yield one


def hasty(**seconds: float) -> Patience:
    """Clients may take no time at all for what is named here."""
    return Patience(**seconds)
