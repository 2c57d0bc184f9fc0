"""The thread that owns the write connection: drain, begin, turn, commit, release.

One turn takes all that is queued, so that one fsync serves hundreds of commands. A command that breaks a turn is found by
giving each its own turn, and fails alone. If the store fails nothing is acknowledged any more, and the process is to stop:
after a restart everything that was acknowledged is there.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import structlog

from controlplane.core.definition import FunctionState
from controlplane.core.ids import Rng
from controlplane.core.limits import SECOND
from controlplane.core.match import FunctionTable
from controlplane.core.waits import WaitShapes
from controlplane.engine.effects import Committed, commit, release
from controlplane.engine.hub import RunHub
from controlplane.engine.lanes import Lanes
from controlplane.engine.mailbox import Mailbox, Queued
from controlplane.engine.sessions import SessionTable
from controlplane.engine.settings import Settings
from controlplane.engine.story import tell
from controlplane.engine.turn import Memory, take_turn
from controlplane.errors import StoreError
from controlplane.store.interface import Store, Tx

log = structlog.get_logger(__name__)

#: After so long without a command the store may tidy up.
_IDLE_SECONDS = 2.0
_STEP_BACK_MAX = 1 * SECOND


def rebuild(tx: Tx, *, now: int, settings: Settings) -> Memory:
    """What memory holds, from the store. Sessions have no stream yet: they get the time to come back."""
    rows = [row._replace(expires_at=now + settings.patience(row)) for row in tx.sessions()]
    tx.upsert_sessions(rows)
    shapes = WaitShapes(tx.wait_shapes())
    return Memory(FunctionTable(tx.functions()), SessionTable(rows), shapes, Lanes.rebuild(tx))


class Committer:
    """Runs turns until it is stopped."""

    def __init__(
        self,
        *,
        store: Store,
        mailbox: Mailbox,
        settings: Settings,
        clock: Callable[[], int],
        rng: Rng,
        loop: asyncio.AbstractEventLoop,
        hub: RunHub,
        failpoint: Callable[[str], None] = lambda _: None,
        on_timer: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._mailbox = mailbox
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._loop = loop
        self._hub = hub
        self._failpoint = failpoint
        self._on_timer = on_timer
        self._now = 0
        self._memory = Memory(FunctionTable(()), SessionTable(), WaitShapes(), Lanes())
        self._has_more = False
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        #: Fails with the error that stopped the thread, if one did; done once the thread has ended.
        self.stopped: asyncio.Future[None] = loop.create_future()

    def start(self) -> None:
        """Begin to take commands. What is in the store is taken up by the thread first."""
        self._thread.start()

    async def stop(self) -> None:
        """Do what is queued, then end the thread. The mailbox must be closed."""
        self._is_stopping = True
        self._mailbox.wake()
        await asyncio.wait([self.stopped])
        self._thread.join()

    def sessions_serving(self, namespace: str, app_id: str, function_id: str) -> int:
        """How many live sessions serve a function."""
        function = self._memory.functions.by_name.get((namespace, app_id, function_id))
        return self._memory.sessions.count_serving(function.key) if function else 0

    def is_paused(self, namespace: str, app_id: str, function_id: str) -> bool:
        """Whether a function's runs are held back."""
        function = self._memory.functions.by_name.get((namespace, app_id, function_id))
        return function is not None and function.state is FunctionState.PAUSED

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._load()
            while not self._is_stopping:
                if self._mailbox.wait(_IDLE_SECONDS):
                    self._work()
                else:
                    self._store.checkpoint()
            self._work()
        except BaseException as caught:
            error = caught
            log.critical("committer_failed", error=str(caught), exc_info=caught)
        self._loop.call_soon_threadsafe(self._set_stopped, error)

    def _load(self) -> None:
        with self._store.begin() as tx:
            memory = rebuild(tx, now=self._tell_time(), settings=self._settings)
            tx.commit()
        self._memory = memory

    def _work(self) -> None:
        while (queued := self._mailbox.take(self._settings.turn_commands_max)) or self._has_more:
            self._has_more = False
            try:
                self._turn(queued)
            except StoreError as error:
                self._refuse(queued, error)
                raise
            except Exception:
                log.exception("turn_failed", commands=len(queued))
                self._recover()
                self._take_apart(queued)

    def _take_apart(self, queued: list[Queued]) -> None:
        for index, item in enumerate(queued):
            try:
                self._turn([item])
            except StoreError as error:
                self._refuse(queued[index:], error)
                raise
            except Exception as error:
                log.exception("command_failed", command=type(item[0]).__name__)
                self._recover()
                self._refuse([item], error)

    def _recover(self) -> None:
        """Forget what a turn that failed has left in memory."""
        with self._store.begin() as tx:
            self._memory.lanes = Lanes.rebuild(tx)

    def _turn(self, queued: list[Queued]) -> None:
        with self._store.begin() as tx:
            turn = take_turn(
                tx,
                [command for command, _ in queued],
                self._memory,
                self._settings,
                now=self._tell_time(),
                rng=self._rng,
            )
            lines = tell(turn, in_full=log.is_enabled_for(logging.DEBUG))
            self._failpoint("before_commit")
            committed = commit(tx, turn, self._memory, queued)
        self._failpoint("after_commit")
        self._loop.call_soon_threadsafe(release, committed, self._mailbox, self._hub, self._on_timer)
        self._failpoint("after_release")
        for level, event, fields in lines:
            log.log(level, event, **fields)
        self._has_more = turn.has_more

    def _refuse(self, queued: list[Queued], error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._release_refusals, queued, error)

    def _release_refusals(self, queued: list[Queued], error: BaseException) -> None:
        answers: list[Any] = [error] * len(queued)
        release(Committed(queued, answers, [], [], None), self._mailbox, self._hub, self._on_timer)

    def _tell_time(self) -> int:
        """The clock's time. A small step back is waited out, so that rows stay in order; a large one is followed.

        Waiting a large one out would stop all timers until the clock has caught up.
        """
        now = self._clock()
        if now < self._now - _STEP_BACK_MAX:
            log.warning("clock_went_back", seconds=(self._now - now) / SECOND)
            self._now = now
        self._now = max(self._now, now)
        return self._now

    def _set_stopped(self, error: BaseException | None) -> None:
        if error is None:
            self.stopped.set_result(None)
        else:
            # Nobody takes commands any more: who comes is refused, and who waits is told.
            self._mailbox.close()
            self._release_refusals(self._mailbox.take(sys.maxsize), error)
            self.stopped.set_exception(error)
