"""All invocations of a worker: begins them, and tells each what the server says. On the event loop's thread only."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import Any, Final

from steplane import reports
from steplane.codec import decode_entry
from steplane.context import Context, ContextSync
from steplane.errors import RegistrationError, RejectedError
from steplane.function import Function
from steplane.gen.steplane.v1 import run_pb2, work_pb2
from steplane.limits import Limits
from steplane.replay.journal import AckStatus, Entry
from steplane.replay.machine import Machine
from steplane.worker.bodies import AsyncBody, ThreadBody
from steplane.worker.desk import Desk
from steplane.worker.invocation import Invocation
from steplane.worker.outbox import IncomingAck, Lease, Outbox
from steplane.worker.threads import Threads

log = logging.getLogger("steplane.worker")

_FAILED_MAX: Final = 1_000


class _Partial:
    """An invocation whose journal has not come whole."""

    def __init__(self, message: work_pb2.Invocation) -> None:
        self.message = message
        self.journal: list[run_pb2.JournalEntry] = list(message.journal)
        self.remaining = message.journal_remaining


class Executor:
    """The inbox of a session, and the owner of its invocations."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        functions: Mapping[str, Function[Any]],
        logger: Callable[[str], logging.Logger],
        connected: asyncio.Event,
        on_change: Callable[[], object],
        on_refused: Callable[[RegistrationError], object],
    ) -> None:
        """`connected` is set as long as a stream is open; `on_change` is called whenever less may be left to wait for."""
        self.loop = loop
        self.desk = Desk(loop, outbox)
        self.limits = Limits()
        self.is_draining = False
        self.can_receive = False
        """Whether more invocations may come on the stream."""
        self._outbox = outbox
        self._functions = functions
        self._loggers = {id_: logger(id_) for id_ in functions}
        self._connected = connected
        self._on_change = on_change
        self._on_refused = on_refused
        self._threads = Threads()
        self._live: dict[str, Invocation] = {}
        self._bodies: set[Invocation] = set()
        self._partial: dict[Lease, _Partial] = {}
        self._failed: deque[Lease] = deque(maxlen=_FAILED_MAX)
        """Whose outcome was refused, and then reported as a failure."""

    def is_sure(self, lease: Lease) -> bool:
        """Whether the run was surely given to nobody else."""
        return self._outbox.is_sure(lease)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, and nothing waits to be acknowledged."""
        return not self._bodies and not self._partial and not self._outbox.held

    def drain(self) -> None:
        """Begin nothing more; what has not begun is handed back."""
        self.is_draining = True
        self._release_partial()

    def abandon(self) -> None:
        """Stop everything at once, and hand it back: no failure of it is reported. Ask for no more before."""
        self.drain()
        invocations = list(self._live.values())
        self.desk.flush()
        for invocation in invocations:
            invocation.drop()
        self._outbox.release([invocation.lease for invocation in invocations])
        self._threads.close()

    # The owner of invocations.

    def left(self, invocation: Invocation) -> None:
        """The invocation needs no more acks and resolutions."""
        if self._live.get(invocation.machine.run_id) is invocation:
            del self._live[invocation.machine.run_id]

    def emptied(self, invocation: Invocation) -> None:
        """The user's code has ended."""
        self._bodies.discard(invocation)
        if self.is_draining:
            self._on_change()

    # The inbox of the session.

    def welcomed(self, limits: Limits, lost: Sequence[Lease]) -> None:
        """A stream is open."""
        self.limits = limits
        self.can_receive = True
        self._connected.set()
        if lost:
            log.warning("%d invocations were given to others while this worker was not connected", len(lost))
            self._drop(lost)
        # The rest of their journals was on its way when the old stream broke: no other stream has it.
        self._release_partial()
        for invocation in self._live.values():
            invocation.reassured()

    def _release_partial(self) -> None:
        """Hand back what has not begun, as its journal is not complete."""
        partial, self._partial = list(self._partial), {}
        self._outbox.release(partial, slots_freed=len(partial))

    def invoked(self, invocations: Sequence[work_pb2.Invocation]) -> None:
        """Work came."""
        for message in invocations:
            if self.is_draining:
                self._outbox.release([(message.run_id, message.epoch)], slots_freed=1)
            elif message.journal_remaining:
                self._partial[message.run_id, message.epoch] = _Partial(message)
            else:
                self._start(message, message.journal)

    def journal_continued(self, part: work_pb2.JournalPart) -> None:
        """More of a journal came."""
        lease = (part.run_id, part.epoch)
        partial = self._partial.get(lease)
        if partial is None:
            return
        partial.journal += part.entries
        partial.remaining -= len(part.entries)
        if partial.remaining <= 0:
            del self._partial[lease]
            self._start(partial.message, partial.journal)

    def acked(self, acks: Sequence[IncomingAck]) -> None:
        """Reports were answered."""
        for ack in acks:
            if ack.status in (AckStatus.STALE_EPOCH, AckStatus.RUN_ENDED):
                self._drop([ack.lease])
            elif ack.step_key:
                invocation = self._find(ack.lease)
                if invocation is not None:
                    invocation.acked(ack)
            else:
                self._refuse_outcome(ack)

    def resolved(self, resolutions: Sequence[tuple[Lease, Entry]]) -> None:
        """Blocked steps may go on."""
        for lease, entry in resolutions:
            invocation = self._find(lease)
            if invocation is not None:
                invocation.resolved(entry)

    def taken_away(self, leases: Sequence[Lease], reason: str) -> None:
        """Leases are to be stopped."""
        for lease in leases:
            # A heartbeat crosses with acks: most of what it is told to stop has just ended here.
            if lease in self._partial or self._find(lease) is not None:
                log.info("run %s (epoch %d) is stopped here: %s", *lease, reason)
        self._drop(leases)

    def settled(self) -> None:
        """The last outcome was acknowledged."""
        self._on_change()

    def drain_acked(self) -> None:
        """No more work comes."""
        self.can_receive = False
        self._on_change()

    def disconnected(self) -> None:
        """The stream is gone."""
        self.can_receive = False
        self._connected.clear()
        self._on_change()

    def refused(self, error: RegistrationError) -> None:
        """The server does not take what this worker serves."""
        self._on_refused(error)

    def _start(self, message: work_pb2.Invocation, journal: Sequence[run_pb2.JournalEntry]) -> None:
        before = self._live.get(message.run_id)
        if before is not None:
            if before.machine.epoch >= message.epoch:
                return  # it was delivered twice, and is being worked on
            self._drop([before.lease])
        function = self._functions.get(message.function_id)
        if function is None:
            # It is not held from now on, so the server gives it to another after some heartbeats.
            log.error(
                "the server sent run %s of function %r, which is not served here", message.run_id, message.function_id
            )
            self._outbox.forget((message.run_id, message.epoch))
            self.desk.free_slot()
            return
        machine = Machine(
            run_id=message.run_id,
            epoch=message.epoch,
            traceparent=message.traceparent,
            journal=[decode_entry(entry) for entry in journal] if journal else (),
            steps_max=self.limits.run_steps_max,
            in_order=function.is_async,
        )
        invocation = Invocation(owner=self, machine=machine, function=function)
        logger = self._loggers[message.function_id]
        if function.is_async:
            context = Context(
                invocation, machine=machine, events=message.events, attempt=message.attempt, logger=logger
            )
            invocation.body = AsyncBody(invocation, context)
        else:
            body = invocation.body = ThreadBody(invocation, self._threads)
            body.context = ContextSync(
                invocation, machine=machine, events=message.events, attempt=message.attempt, logger=logger
            )
        self._live[message.run_id] = invocation
        self._bodies.add(invocation)
        invocation.body.start()

    def _find(self, lease: Lease) -> Invocation | None:
        invocation = self._live.get(lease[0])
        return invocation if invocation is not None and invocation.machine.epoch == lease[1] else None

    def _drop(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._outbox.forget(lease)
            if self._partial.pop(lease, None) is not None:
                self.desk.free_slot()
            invocation = self._find(lease)
            if invocation is not None:
                invocation.drop()
        if self.is_draining:
            self._on_change()

    def _refuse_outcome(self, ack: IncomingAck) -> None:
        """The server will never take a run's outcome as it was reported: the run fails with the reason, else is let go."""
        if ack.lease in self._failed:
            log.error("the server refuses the outcome of run %s: %s", ack.lease[0], ack.message)
            self._drop([ack.lease])
            return
        self._failed.append(ack.lease)
        error = RejectedError(f"the server refused the outcome of this run: {ack.message}")
        run_id, epoch = ack.lease
        now = time_ns()
        self.desk.report(ack.lease, "", reports.run_failed(run_id, epoch, error, start_ns=now, now_ns=now))
