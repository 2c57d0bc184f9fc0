"""The only door to the engine: a bounded queue of commands.

Commands go in from the event loop's thread; the committer's thread takes all that is there at once. The queue is
bounded in commands and in bytes. What comes from outside (`submit`) is refused when it is full; worker streams wait for
room before they read on; time (`submit_internal`) is never refused, since its commands are few.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any, TypeAlias

from controlplane.core.limits import Limits
from controlplane.engine.commands import Command
from controlplane.errors import Saturated, Stopping

_COMMAND_BYTES = 256

Queued: TypeAlias = tuple[Command, "asyncio.Future[Any] | None"]


class Mailbox:
    """Commands on their way to the committer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._queue: deque[Queued] = deque()
        self._arrived = threading.Event()
        self._bytes = 0
        self._closed = False
        self._closed_to_callers = False
        self._room = asyncio.Event()
        self._room.set()

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Queue a command of a caller; the future has its answer after the commit.

        Raises `Saturated` if the queue is full, and `Stopping` if the server is.
        """
        if self._closed_to_callers:
            raise Stopping("the server is stopping")
        return self.submit_report(command)

    def submit_report(self, command: Command) -> asyncio.Future[Any]:
        """The same for what workers report: it is still taken after `close_to_callers`."""
        if self._closed:
            raise Stopping("the server is stopping")
        if not self._has_room():
            raise Saturated("the server has as many commands queued as it may; try again in a moment")
        return self._ask(command)

    def submit_internal(self, command: Command) -> asyncio.Future[Any]:
        """Queue a command of the server's own; never refused."""
        return self._ask(command)

    async def post(self, command: Command) -> None:
        """Queue a command whose answer goes elsewhere, once there is room for it: a worker's frame.

        While this waits its stream is not read, so that back-pressure reaches the worker. Raises `Stopping`.
        """
        while not self._closed and not self._has_room():
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise Stopping("the server is stopping")
        self._put(command, None)

    def close_to_callers(self) -> None:
        """Refuse `submit` from now on; workers may still report what they are at."""
        self._closed_to_callers = True

    def close(self) -> None:
        """Refuse all further commands from outside. What is queued is still done."""
        self._closed = True
        self._room.set()

    def _has_room(self) -> bool:
        return len(self._queue) < self._limits.mailbox_commands_max and self._bytes < self._limits.mailbox_bytes_max

    def _ask(self, command: Command) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._put(command, future)
        return future

    def _put(self, command: Command, future: asyncio.Future[Any] | None) -> None:
        self._bytes += getattr(command, "size", _COMMAND_BYTES)
        self._queue.append((command, future))
        self._arrived.set()

    # The committer's side.

    def wait(self, seconds: float) -> bool:
        """Block the committer's thread until something was queued or `wake` was called; `False` if neither came."""
        came = self._arrived.wait(seconds)
        self._arrived.clear()
        return came

    def wake(self) -> None:
        """Let `wait` return."""
        self._arrived.set()

    def take(self, limit: int) -> list[Queued]:
        """Up to `limit` commands, oldest first; the committer wakes again at once if there are more."""
        queue = self._queue
        taken = [queue.popleft() for _ in range(min(limit, len(queue)))]
        if queue:
            self._arrived.set()
        return taken

    def made_room(self, commands: list[Queued]) -> None:
        """These commands were done; on the event loop's thread."""
        self._bytes -= sum(getattr(command, "size", _COMMAND_BYTES) for command, _ in commands)
        self._room.set()
