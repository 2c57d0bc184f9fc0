"""THE wiring: the store, the engine, the loops and the RPC server, in the order they start and stop.

Nothing is wired elsewhere, and nothing else reads the clock or rolls dice.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, cast

import structlog
import uvloop

from controlplane import VERSION
from controlplane.config import Address, Config, Failpoint
from controlplane.core.ids import Rng
from controlplane.core.limits import SECOND
from controlplane.engine.committer import Committer
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.errors import SteplaneError
from controlplane.http.events import EventDoor
from controlplane.http.server import HttpServer, tls_context
from controlplane.loops.clock import Clock
from controlplane.loops.loop import Loop
from controlplane.loops.retention import Retention
from controlplane.loops.sessions import Sessions
from controlplane.loops.timers import Timers
from controlplane.rpc.functions import FunctionService
from controlplane.rpc.questions import Questions
from controlplane.rpc.runs import RunService
from controlplane.rpc.send_events import EventService
from controlplane.rpc.server import RpcServer, Services, Tls
from controlplane.rpc.work import WorkService
from controlplane.store.interface import Store
from controlplane.store.sqlite.open import SqliteStore
from controlplane.telemetry import logs

_READERS: Final = 4
"""Threads that read the store for calls."""
_CALLS_GRACE_SECONDS: Final = 1.0
"""How long calls that are open at the end, other than workers' streams, may take yet."""

log = structlog.get_logger(__name__)

_COLLECTION_THRESHOLDS: Final = (50_000, 20, 20)


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Microseconds since 1970 (UTC)."""
        return time.time_ns() // 1000

    async def wait(self, woken: asyncio.Event, duration: int) -> None:
        """Return once woken, or after `duration`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(duration / SECOND):
                await woken.wait()


class App:
    """One server: `start` it once, then `stop` it once."""

    store: Store
    failed: asyncio.Future[None]
    """Done once the engine has stopped; with an error if it could not go on."""

    def __init__(self, config: Config, *, clock: Clock | None = None, rng: Rng | None = None) -> None:
        self.config = config
        self.clock: Clock = clock if clock is not None else SystemClock()
        self._rng: Rng = rng if rng is not None else random.Random()  # noqa: S311 ids are unique, not secret
        self._undo = AsyncExitStack()
        self._rpc: RpcServer
        self._http: HttpServer | None = None
        self._work: WorkService
        self._mailbox: Mailbox
        self._hub: RunHub
        self._port = 0
        self._http_port = 0

    @property
    def address(self) -> Address:
        """Where it listens, with the real port."""
        return Address(self.config.listen.host, self._port)

    @property
    def http_url(self) -> str:
        """Where it takes requests over HTTP; empty if it does not."""
        if self.config.http_listen is None:
            return ""
        scheme = "http" if self.config.tls_cert is None else "https"
        return f"{scheme}://{Address(self.config.http_listen.host, self._http_port)}"

    async def start(self) -> None:
        """Start from the inside out: who takes calls comes last. Raises `SteplaneError`, and leaves nothing running then."""
        try:
            await self._start()
        except BaseException:
            await self._undo.aclose()
            raise

    async def stop(self, *, hurry: asyncio.Event | None = None) -> None:
        """Stop from the outside in, and lose nothing.

        Nothing new is taken in; workers are told, and get the drain time to report the steps that they are at, unless
        there is a `hurry`. Then everything that was taken in is committed.
        """
        hurry = hurry if hurry is not None else asyncio.Event()
        async with self._undo:
            await self._drain(hurry)
            self._work.close()
            self._hub.close()
            is_sudden = hurry.is_set() or self.failed.done()
            grace = 0 if is_sudden else _CALLS_GRACE_SECONDS
            await asyncio.gather(self._rpc.stop(grace), *([self._http.stop(grace)] if self._http is not None else ()))

    async def _start(self) -> None:
        config, undo = self.config, self._undo
        loop = asyncio.get_running_loop()
        synchronous = cast("Literal['full', 'normal']", config.synchronous)
        self.store = await asyncio.to_thread(SqliteStore.open, config.db, synchronous=synchronous)
        undo.callback(self.store.close)
        readers = undo.enter_context(ThreadPoolExecutor(_READERS, thread_name_prefix="reader"))

        mailbox = self._mailbox = Mailbox(loop, config.limits)
        hub = self._hub = RunHub()
        timers = Timers(mailbox=mailbox, store=self.store, readers=readers, clock=self.clock)
        committer = Committer(
            store=self.store,
            mailbox=mailbox,
            settings=config.settings,
            clock=self.clock.now,
            rng=self._rng,
            loop=loop,
            hub=hub,
            failpoint=_failpoint(config.failpoint),
            on_timer=timers.hint,
        )
        committer.start()
        self.failed = committer.stopped
        undo.push_async_callback(committer.stop)
        undo.callback(mailbox.close)

        for task in (timers, *self._other_loops(mailbox)):
            task.start()
            undo.push_async_callback(task.stop)

        self._work = WorkService(mailbox=mailbox, settings=config.settings, clock=self.clock.now, version=VERSION)
        events = EventService(mailbox=mailbox, limits=config.limits, clock=self.clock.now)
        services = self._services(events, mailbox, hub, readers, committer)
        await self._start_http(events)
        self._rpc = RpcServer(services, limits=config.limits, tls=_tls(config), with_reflection=config.reflection)
        self._port = await self._rpc.start(str(config.listen))

    async def _start_http(self, events: EventService) -> None:
        config = self.config
        if config.http_listen is None:
            return
        tls = None
        if config.tls_cert is not None and config.tls_key is not None:
            tls = tls_context(config.tls_cert, config.tls_key, config.tls_client_ca)
        self._http = HttpServer(EventDoor(events, limits=config.limits), limits=config.limits, tls=tls)
        self._http_port = await self._http.start(*config.http_listen)
        self._undo.push_async_callback(self._http.stop, 0)

    def _other_loops(self, mailbox: Mailbox) -> Iterator[Loop]:
        config = self.config
        yield Sessions(
            mailbox=mailbox,
            clock=self.clock,
            session_grace=config.session_grace,
            heartbeat_interval=config.heartbeat_interval,
        )
        if self.config.retention:
            yield Retention(mailbox=mailbox, clock=self.clock, retention=self.config.retention)

    def _services(
        self, events: EventService, mailbox: Mailbox, hub: RunHub, readers: Executor, committer: Committer
    ) -> Services:
        limits, clock = self.config.limits, self.clock.now
        questions = Questions(self.store, readers)
        return Services(
            events=events,
            functions=FunctionService(
                questions=questions,
                mailbox=mailbox,
                limits=limits,
                clock=clock,
                sessions_serving=committer.sessions_serving,
            ),
            runs=RunService(
                questions=questions,
                mailbox=mailbox,
                hub=hub,
                limits=limits,
                sessions_serving=committer.sessions_serving,
                is_paused=committer.is_paused,
            ),
            work=self._work,
        )

    async def _drain(self, hurry: asyncio.Event) -> None:
        """Return when no worker is at work any more, or the drain time is over, or nobody wants to wait for it."""
        if self.failed.done():
            return
        await self._rpc.tell_stopping()
        self._mailbox.close_to_callers()
        self._work.drain()
        # The port stays open: health has to tell that the server is going, and a caller gets an answer, not a broken line.
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._work.wait_idle()),
            asyncio.ensure_future(hurry.wait()),
        ]
        seconds = self.config.drain_timeout / SECOND
        await asyncio.wait([*waits, self.failed], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def _tls(config: Config) -> Tls | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    client_ca = config.tls_client_ca.read_bytes() if config.tls_client_ca is not None else None
    return Tls(certificate=config.tls_cert.read_bytes(), key=config.tls_key.read_bytes(), client_ca=client_ca)


def _failpoint(failpoint: Failpoint | None) -> Callable[[str], None]:
    """What the committer calls at each point: it may be told to die there, as no other process can make it do."""
    passes = 0

    def pass_by(name: str) -> None:
        nonlocal passes
        if failpoint is not None and name == failpoint.name:
            passes += 1
            if passes == failpoint.passes:
                os.kill(os.getpid(), signal.SIGKILL)

    return pass_by


@asynccontextmanager
async def running(config: Config, *, clock: Clock | None = None, rng: Rng | None = None) -> AsyncIterator[App]:
    """A server inside this process, for tests: it runs as long as the block."""
    app = App(config, clock=clock, rng=rng)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


def serve(config: Config) -> int:
    """Run a server until it is told to stop; the exit code of the process."""
    logs.set_up(level=config.log_level, form=config.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config))


async def _serve(config: Config) -> int:
    told, hurry = _signals()
    app = App(config)
    try:
        with _ready_file(config.ready_file) as ready:
            await app.start()
            # What was made so far lives as long as the process: collections need not look at it again.
            gc.collect()
            gc.freeze()
            # Rows have no cycles, but each counts: by default every few events would set off a collection.
            gc.set_threshold(*_COLLECTION_THRESHOLDS)
            ready("".join(f"{each}\n" for each in (app.address, app.http_url) if each))
            log.info(
                "server_started",
                address=str(app.address),
                http=app.http_url or None,
                db=str(config.db),
                version=VERSION,
                pid=os.getpid(),
            )
            telling: asyncio.Future[Any] = asyncio.ensure_future(told.wait())
            await asyncio.wait([telling, app.failed], return_when=asyncio.FIRST_COMPLETED)
            telling.cancel()
    except SteplaneError as error:
        log.critical("server_not_started", reason=str(error))
        return 1
    log.info("server_stopping", drain_seconds=config.drain_timeout / SECOND)
    await app.stop(hurry=hurry)
    if (failure := app.failed.exception()) is not None:
        log.critical("server_failed", reason=str(failure))
        return 1
    log.info("server_stopped")
    return 0


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """What is set by the first signal to stop, and by the second one."""
    told, hurry = asyncio.Event(), asyncio.Event()

    def tell() -> None:
        (hurry if told.is_set() else told).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, tell)
    return told, hurry


@contextmanager
def _ready_file(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Writes the file as a whole, when it is called; there is none before and none after."""

    def ready(text: str) -> None:
        if path is not None:
            part = path.with_name(path.name + ".part")
            part.write_text(text)
            part.replace(path)

    def gone() -> None:
        if path is not None:
            path.unlink(missing_ok=True)

    gone()
    try:
        yield ready
    finally:
        gone()
