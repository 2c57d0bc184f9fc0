"""One connection of a client: its requests, one after the other, and nothing that it can hold up for long."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final, Protocol

import h11
import structlog

from controlplane.errors import Saturated, SteplaneError
from controlplane.http.messages import Head, Response
from controlplane.http.problems import BadRequest, BodyTooLarge, BodyTooSlow, response_of

log = structlog.get_logger(__name__)

_HEAD_BYTES_MAX: Final = 16 * 1024
_READ_BYTES: Final = 64 * 1024
_AUTHORITY: Final = re.compile(r"https?://[^/?]*", re.IGNORECASE)
#: Of a path, which anybody can send, so many characters are logged.
_PATH_LOGGED: Final = 100
#: What is left of a request whose body was not read to its end.
_UNREAD: Final = (h11.SEND_BODY, h11.ERROR)


class Gone(Exception):
    """The client is gone: there is nobody to answer."""


class Door(Protocol):
    """What requests are for."""

    @property
    def body_bytes_max(self) -> int:
        """The most that a body may have."""
        ...

    def check(self, head: Head) -> None:
        """Refuse what can be refused before its body is read."""
        ...

    async def answer(self, head: Head, body: bytes) -> Response:
        """Do what the request asks for."""
        ...


class Room:
    """What the bodies of all connections may have in memory together."""

    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """One body's: takes so many bytes more, which are given back at the end. Raises `Saturated` if none are left."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise Saturated("the server has as many bodies in memory as it may; try again in a moment")
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken


class Patience:
    """How long a client may take, in seconds."""

    def __init__(self, *, head: float = 30, body: float = 30, write: float = 30, linger: float = 2) -> None:
        self.head = head
        """For a request's head, from when the connection is free for it."""
        self.body = body
        self.write = write
        """To read an answer."""
        self.linger = linger
        """To take an answer that came before the request's end."""


class Connection:
    """Serves one client until it goes, or is told to."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door, room: Room, patience: Patience
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._door = door
        self._room = room
        self._patience = patience
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES_MAX)
        self._is_busy = False
        self._is_last = False

    def finish(self) -> None:
        """Take no further request; what is under way is answered yet."""
        self._is_last = True
        if not self._is_busy:
            self._writer.close()

    async def serve(self) -> None:
        """Answer requests until no more may follow."""
        try:
            while await self._exchange():
                self._protocol.start_next_cycle()
        except (Gone, OSError, TimeoutError):
            self._writer.transport.abort()
        finally:
            self._writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._patience.linger):
                    await self._writer.wait_closed()

    async def _exchange(self) -> bool:
        """Read a request, and answer it. Whether another one may follow."""
        try:
            async with asyncio.timeout(self._patience.head):
                event = await self._next_event()
        except h11.RemoteProtocolError as error:
            await self._send(response_of(BadRequest(f"this is no HTTP request: {error}", error.error_status_hint)))
            await self._linger()
            return False
        if not isinstance(event, h11.Request):
            return False
        self._is_busy = True
        response = await self._answer(event)
        is_unread = self._protocol.their_state in _UNREAD
        await self._send(response, has_body=event.method != b"HEAD", is_last=is_unread or self._is_last)
        self._is_busy = False
        if is_unread:
            await self._linger()
        return self._protocol.our_state is h11.DONE and not self._is_last

    async def _answer(self, request: h11.Request) -> Response:
        began = time.monotonic()
        head = _head_of(request)
        method = f"{head.method} {head.path[:_PATH_LOGGED]}"
        try:
            self._door.check(head)
            with self._room.share() as take:
                response = await self._door.answer(head, await self._body(head, take))
        except Gone:
            raise
        except Exception as error:
            response = response_of(error)
            if isinstance(error, SteplaneError):
                log.debug("call_refused", method=method, status=response.status, reason=error.reason)
            else:
                log.exception("call_failed", method=method)
            return response
        log.debug("call_answered", method=method, seconds=time.monotonic() - began)
        return response

    async def _body(self, head: Head, take: Callable[[int], None]) -> bytes:
        most = self._door.body_bytes_max
        parts: list[bytes] = []
        received, size = 0, int(head.header("content-length") or 0)
        try:
            async with asyncio.timeout(self._patience.body):
                while True:
                    if size > most:
                        # Told before it is read, if the client says how much comes.
                        raise BodyTooLarge(f"the body has more than {most} bytes, which are the most")
                    event = await self._next_event()
                    if not isinstance(event, h11.Data):
                        return b"".join(parts)
                    take(len(event.data))
                    parts.append(bytes(event.data))
                    received += len(event.data)
                    size = max(size, received)
        except TimeoutError:
            raise BodyTooSlow(f"the body did not come within {self._patience.body:g} seconds") from None
        except h11.RemoteProtocolError as error:
            raise BadRequest(f"the body does not follow HTTP: {error}", error.error_status_hint) from None

    async def _next_event(self) -> Any:
        protocol = self._protocol
        while (event := protocol.next_event()) is h11.NEED_DATA:
            if protocol.they_are_waiting_for_100_continue:
                await self._write(protocol.send(h11.InformationalResponse(status_code=100, headers=[])))
            try:
                data = await self._reader.read(_READ_BYTES)
            except OSError:
                raise Gone from None
            protocol.receive_data(data)
        return event

    async def _send(self, response: Response, *, has_body: bool = True, is_last: bool = True) -> None:
        headers = [("content-type", "application/json"), ("content-length", str(len(response.body))), *response.headers]
        if is_last:
            headers.append(("connection", "close"))
        status = HTTPStatus(response.status)
        protocol = self._protocol
        data = protocol.send(h11.Response(status_code=status, headers=headers, reason=status.phrase)) or b""
        if has_body:
            data += protocol.send(h11.Data(data=response.body)) or b""
        await self._write(data + (protocol.send(h11.EndOfMessage()) or b""))

    async def _write(self, data: bytes | None) -> None:
        self._writer.write(data or b"")
        async with asyncio.timeout(self._patience.write):
            await self._writer.drain()

    async def _linger(self) -> None:
        """Read what is still on its way: if the connection were closed on it, the client might lose the answer."""
        with suppress(OSError, TimeoutError):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(self._patience.linger):
                while await self._reader.read(_READ_BYTES):
                    pass


def _head_of(request: h11.Request) -> Head:
    target = request.target.decode("latin-1")
    path, _, query = _AUTHORITY.sub("", target, count=1).partition("?")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    return Head(request.method.decode("latin-1"), path, query, headers)
