"""The worker: wires the parts, runs until it is told to stop, and drains before it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import Any, Final

from steplane.errors import RegistrationError, SteplaneError
from steplane.function import Function
from steplane.transport import Target
from steplane.worker.executor import Executor
from steplane.worker.outbox import Outbox
from steplane.worker.session import Identity, Session

log = logging.getLogger("steplane.worker")

DRAIN_TIMEOUT: Final = timedelta(seconds=30)
#: The server says at once that it sends no more; a server that does not is not waited for longer.
_DRAIN_ACK_SECONDS_MAX: Final = 5.0


class Worker:
    """Takes runs of an app's functions and executes them. Made by `Steplane.worker`; runs once."""

    def __init__(
        self,
        *,
        target: Target,
        namespace: str,
        app_id: str,
        functions: Sequence[Function[Any]],
        slots: int,
        drain_timeout: timedelta,
        logger: Callable[[str], logging.Logger],
    ) -> None:
        if slots < 1:
            raise ValueError(f"a worker needs 1 slot or more, not {slots}")
        if not functions:
            raise ValueError("a worker needs a function; define one with @client.create_function(...)")
        self._target = target
        self._identity = Identity(
            namespace=namespace,
            app_id=app_id,
            instance_id=f"{socket.gethostname()[:64]}-{os.getpid()}-{secrets.token_hex(8)}",
        )
        self._functions = {function.id: function for function in functions}
        self._outbox = Outbox(slots)
        self._drain_timeout = drain_timeout
        self._logger = logger
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: Executor | None = None
        self._session: Session | None = None
        self._changed = asyncio.Event()
        self._connected = asyncio.Event()
        self._is_stopping = False
        self._refusal: RegistrationError | None = None

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain: take nothing more, and end what runs, for up to `drain_timeout`.

        A second signal stops at once. Raises `RegistrationError` if the server refuses a function.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass  # and not here: each traceback of the user's code would begin with this error
        else:
            raise SteplaneError("an event loop runs here already; await worker.run_async() instead")
        # What was made so far lives as long as the process: collections need not look at it again.
        gc.collect()
        gc.freeze()
        asyncio.run(self._run_with_signals())

    async def run_async(self) -> None:
        """The same on the running event loop, and without signals: call `stop` to drain. Cancelled, it stops at once."""
        if self._loop is not None:
            raise SteplaneError("a worker runs once; make another with client.worker(...)")
        loop = self._loop = asyncio.get_running_loop()
        executor = self._executor = Executor(
            loop=loop,
            outbox=self._outbox,
            functions=self._functions,
            logger=self._logger,
            connected=self._connected,
            on_change=self._changed.set,
            on_refused=self._refuse,
        )
        session = self._session = Session(
            target=self._target,
            identity=self._identity,
            definitions=[function.definition for function in self._functions.values()],
            outbox=self._outbox,
            inbox=executor,
            post=loop.call_soon_threadsafe,
        )
        session.start()
        try:
            await self._until(lambda: self._is_stopping)
            if self._refusal is None:
                await self._drain(executor, session)
        finally:
            self._abandon()
            session.stop()
            await asyncio.shield(asyncio.to_thread(session.join))
        if self._refusal is not None:
            raise self._refusal

    @property
    def is_connected(self) -> bool:
        """Whether the server gives it work just now: for a health check."""
        return self._connected.is_set()

    async def connected(self) -> None:
        """Return once it is connected, and its functions are registered. On the event loop that it runs on."""
        await self._connected.wait()

    def stop(self) -> None:
        """Drain, and let `run` or `run_async` return. May be called from any thread."""
        loop = self._loop
        self._is_stopping = True
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._changed.set)

    async def _drain(self, executor: Executor, session: Session) -> None:
        log.info("draining: no new runs are taken; those that run have %s to end or to park", self._drain_timeout)
        executor.drain()
        session.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_ACK_SECONDS_MAX):
                await self._until(lambda: not executor.can_receive)
        try:
            async with asyncio.timeout(self._drain_timeout.total_seconds()):
                await self._until(lambda: executor.is_idle)
        except TimeoutError:
            log.warning(
                "the drain took longer than %s: what still runs is stopped and handed back", self._drain_timeout
            )

    def _abandon(self) -> None:
        if self._session is not None and self._executor is not None:
            # First of all no more work, or what is handed back would come right here again.
            self._session.drain()
            self._executor.abandon()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self._changed.wait()
            self._changed.clear()

    def _refuse(self, error: RegistrationError) -> None:
        self._refusal = error
        self.stop()

    async def _run_with_signals(self) -> None:
        with self._signals(asyncio.get_running_loop()):
            await self.run_async()

    @contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            # The loop's handler wakes the loop; ours is called even while code blocks the loop.
            loop.add_signal_handler(number, self._changed.set)
            signal.signal(number, self._signalled)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_stopping:
            self.stop()
            # Loud enough for a terminal, where nothing else would show that the signal was heard.
            log.warning(
                "%s: ending what runs, and taking nothing more; again to stop at once", signal.Signals(number).name
            )
            return
        self._abandon()
        raise SystemExit(128 + number)
