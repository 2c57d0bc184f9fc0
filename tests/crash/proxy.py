"""A TCP proxy that can be told to misbehave, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
_RESET = struct.pack("ii", 1, 0)
_CHUNK = 65536


class Proxy:
    """Passes bytes on to a port of this machine, until it is told otherwise."""

    def __init__(self, port: int) -> None:
        self.connections = 0
        """How many were opened through it so far."""
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[Any]] = set()
        self._to_server, self._to_client = asyncio.Event(), asyncio.Event()
        self._delay = 0.0
        self.heal()
        self._server = self._await(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset every connection."""
        self._call(self._cut)

    def blackhole(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Pass nothing on in these directions, but leave every connection open."""
        for is_swallowed, way in ((to_server, self._to_server), (to_client, self._to_client)):
            if is_swallowed:
                self._call(way.clear)

    def delay(self, seconds: float) -> None:
        """Pass everything on so much later, so that much is on its way at any moment."""
        self._delay = seconds

    def heal(self) -> None:
        """Pass on again, first of all what has waited."""
        self._call(self._to_server.set)
        self._call(self._to_client.set)

    def close(self) -> None:
        """End all of it."""
        self._call(self._server.close)
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # On the loop's thread.

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        self._writers.add(client_writer)
        ends = [client_writer]
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(writer)
            ends.append(writer)
            await asyncio.gather(
                self._pass(client_reader, writer, self._to_server), self._pass(reader, client_writer, self._to_client)
            )
        except OSError:
            pass  # no server there, or one end is gone: so is the other then
        finally:
            for end in ends:
                _reset(end)
                self._writers.discard(end)
            self._passing.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: asyncio.Event) -> None:
        while data := await reader.read(_CHUNK):
            await asyncio.sleep(self._delay)
            await way.wait()
            writer.write(data)
            await writer.drain()
        await way.wait()
        writer.write_eof()

    def _cut(self) -> None:
        for writer in self._writers:
            _reset(writer)

    async def _end(self) -> None:
        tasks = list(self._passing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the next round

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._await(call())

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
