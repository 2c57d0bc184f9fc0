"""One invocation of a function: its machine, its body, its reports.

The body is the user's code: a task of the event loop, or a thread (`bodies.py`). All else happens on the event loop's
thread, but for `begin` and `abandon`, which the code calls where it is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import time_ns
from typing import Any, Final, Protocol, TypeVar

from steplane import reports
from steplane.codec import encode
from steplane.errors import NestedStepError, TooLargeError
from steplane.function import Function
from steplane.limits import Limits
from steplane.replay.journal import Entry, StepKind
from steplane.replay.machine import BLOCKED, EXECUTE, Machine, StepCall
from steplane.scope import SCOPE
from steplane.worker.delivery import Delivery
from steplane.worker.desk import Desk
from steplane.worker.outbox import IncomingAck, Lease
from steplane.worker.quiet import LOOK_AGAIN_SECONDS, Quiet

log = logging.getLogger("steplane.worker")

T = TypeVar("T")

#: A task that has ended tells those that await it round by round of the loop: through a `gather`, a group, an `asyncio.wait`.
#: Until it has, they look as if they were blocked.
_QUIET_ROUNDS: Final = 6


class Body(Protocol):
    """Where a user's code runs, and how it waits there."""

    is_async: bool

    def start(self) -> None:
        """Begin. `Invocation.ended` is called at the end, on the event loop's thread."""
        ...

    def wait(self, call: StepCall, report: bytes | None, *, is_certain: bool) -> Awaitable[None]:
        """Let `Invocation.hand_in` know, and return what the code waits at."""
        ...

    def wake(self, call: StepCall) -> None:
        """Let the code go on that waits at this call, if it does."""
        ...

    def stop(self) -> None:
        """Let the code go on nowhere: what it waits at, and each step that it calls from now on, ends it."""
        ...

    def over(self) -> BaseException:
        """What ends the code where it calls a step."""
        ...

    def quiet(self) -> Quiet:
        """What the code waits for; asked only while all steps are blocked."""
        ...

    @property
    def is_simple(self) -> bool:
        """Whether no branch is on its way to tell another that it has ended."""
        ...

    def parallel(self, callables: Sequence[Callable[[], T]]) -> list[T]:
        """Call all of them at the same time; for plain functions only."""
        ...


class Owner(Protocol):
    """Who has all invocations."""

    limits: Limits
    desk: Desk
    loop: asyncio.AbstractEventLoop

    def is_sure(self, lease: Lease) -> bool:
        """Whether the run was surely given to nobody else."""
        ...

    def left(self, invocation: Invocation) -> None:
        """The invocation needs no more acks and resolutions."""
        ...

    def emptied(self, invocation: Invocation) -> None:
        """The user's code has ended, one way or another."""
        ...


class Invocation:
    """One lease of one run, while it is worked on."""

    __slots__ = (
        "_delivery",
        "_is_check_due",
        "_lock",
        "_rounds_blocked",
        "_start_ns",
        "_timer",
        "body",
        "function",
        "has_slot",
        "is_async",
        "lease",
        "machine",
        "owner",
    )

    body: Body

    def __init__(self, *, owner: Owner, machine: Machine, function: Function[Any]) -> None:
        self.owner = owner
        self.machine = machine
        self.function = function
        self.lease: Lease = (machine.run_id, machine.epoch)
        self.is_async = function.is_async
        self.has_slot = True
        self._lock = threading.RLock()  # as in the outbox: a signal may come while the main thread has it
        self._start_ns = time_ns()
        self._is_check_due = False
        self._rounds_blocked = 0
        self._delivery = Delivery(self) if function.is_async else None
        self._timer: asyncio.TimerHandle | None = None

    # What steps ask of their host.

    @property
    def limits(self) -> Limits:
        """What the server refuses for good."""
        return self.owner.limits

    @property
    def is_sure(self) -> bool:
        """Whether nobody else was given the run."""
        return self.owner.is_sure(self.lease)

    def begin(self, step_id: str, kind: StepKind) -> StepCall:
        """The code calls a step."""
        outer = SCOPE.get()
        if isinstance(outer, StepCall):
            raise NestedStepError(
                f"step {step_id!r} is called inside the body of step {outer.key!r}; call one after the other, "
                "or several at once by asyncio.gather or ctx.group.parallel"
            )
        with self._lock:
            if not self.machine.is_over:
                return self.machine.begin(step_id, kind)
        raise self.body.over()

    def settle(self, call: StepCall, report: bytes | None = None, *, is_certain: bool = True) -> Awaitable[None]:
        """Report what was done, if anything, and wait until the code can go on."""
        return self.body.wait(call, report, is_certain=is_certain)

    def abandon(self, call: StepCall) -> None:
        """The code waits for the step no longer."""
        with self._lock:
            self.machine.abandon(call)

    def parallel(self, callables: Sequence[Callable[[], T]]) -> list[T]:
        """Call all of them at the same time."""
        return self.body.parallel(callables)

    # What the body says.

    def hand_in(self, call: StepCall, report: bytes | None, *, is_certain: bool) -> None:
        """The code waits at a step, and may have done it."""
        machine = self.machine
        if machine.is_over:
            self.body.wake(call)
            return
        if report is not None:
            with self._lock:
                machine.reported(call, is_certain=is_certain)
            self.owner.desk.report(self.lease, call.key, report)
        elif not call.is_held and self._can_go_on(call):
            # The server answered before this thread heard that the code waits.
            self.body.wake(call)
        delivery = self._delivery
        if delivery is not None and (delivery.is_busy or call.is_held):
            delivery.consider()
        self.consider_parking()

    @property
    def undelivered(self) -> Iterable[StepCall]:
        """Calls that can go on, and whose branches have not heard of it."""
        return self._delivery.queue if self._delivery is not None else ()

    def ended(self, value: Any, error: BaseException | None) -> None:
        """The code returned, or raised."""
        if not self.machine.is_over:
            data = self._outcome(value, error)
            self._close()
            self.owner.desk.report(self.lease, "", data)
            self.owner.left(self)
        self._free_slot()
        self.owner.emptied(self)

    # What the server says.

    def acked(self, ack: IncomingAck) -> None:
        """A step's report was answered."""
        with self._lock:
            call = self.machine.acked(ack.step_key, ack.status, ack.entry, ack.message)
        if call is not None:
            self._deliver(call)
        self.consider_parking()

    def resolved(self, entry: Entry) -> None:
        """A blocked step may go on."""
        with self._lock:
            call = self.machine.resolved(entry)
        if call is not None:
            self._deliver(call)

    def reassured(self) -> None:
        """The run is still this worker's: what waited to know that may go on."""
        with self._lock:
            calls = [call for call in self.machine.live if call.status is EXECUTE]
        for call in calls:
            self.body.wake(call)

    def drop(self) -> None:
        """Stop: the run is somebody else's now, or has ended. Nothing more is reported."""
        if not self.machine.is_over:
            self._close()
            self.owner.left(self)

    def _close(self) -> None:
        with self._lock:
            self.machine.close()
        self.body.stop()

    def _can_go_on(self, call: StepCall) -> bool:
        return self.is_sure if call.status is EXECUTE else call.status is not BLOCKED

    def _deliver(self, call: StepCall) -> None:
        delivery, others = self._delivery, self.machine.live_count - (call.status is EXECUTE)
        if delivery is not None and (others or delivery.is_busy):
            delivery.add(call)
        else:
            self.body.wake(call)

    # Parking.

    def consider_parking(self) -> None:
        """If all steps are blocked, park soon, once the code has come to rest."""
        if self.machine.is_blocked and not self._is_check_due and not self.undelivered:
            self._is_check_due = True
            self._rounds_blocked = 0
            self.owner.loop.call_soon(self._check)

    def _check(self) -> None:
        self._is_check_due = False
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if not self.machine.is_blocked or self.machine.is_over or self.undelivered:
            return
        match self.body.quiet():
            case Quiet.BLOCKED if self.body.is_simple or self._rounds_blocked >= _QUIET_ROUNDS:
                self._park()
            case Quiet.BLOCKED:
                self._rounds_blocked += 1
                self._is_check_due = True
                self.owner.loop.call_soon(self._check)
            case Quiet.RUNNABLE:
                self._rounds_blocked = 0
                self._is_check_due = True
                self.owner.loop.call_soon(self._check)
            case Quiet.UNKNOWN:
                self._timer = self.owner.loop.call_later(LOOK_AGAIN_SECONDS, self._check)

    def _park(self) -> None:
        with self._lock:
            if not self.machine.is_blocked:
                return  # another thread of the function just called a step
            blocked_by = self.machine.park()
        self.owner.desk.report(self.lease, "", reports.run_parked(self.machine, blocked_by))
        self._free_slot()
        self.body.stop()
        self.owner.left(self)

    def _free_slot(self) -> None:
        if self.has_slot:
            self.has_slot = False
            self.owner.desk.free_slot()

    def _outcome(self, value: Any, error: BaseException | None) -> bytes:
        if error is None:
            try:
                data = encode(value, "the result of function", self.function.id)[0]
                self._check_output(data)
                return reports.run_completed(self.machine, data, start_ns=self._start_ns)
            except Exception as refused:  # noqa: BLE001 whatever is wrong with a result is the run's failure
                error = refused
        log.warning("run %s of function %r failed", self.machine.run_id, self.function.id, exc_info=error)
        run_id, epoch = self.lease
        return reports.run_failed(run_id, epoch, error, start_ns=self._start_ns, now_ns=time_ns())

    def _check_output(self, data: bytes) -> None:
        most = self.limits.output_bytes_max
        if most and len(data) > most:
            raise TooLargeError(
                f"the result of function {self.function.id!r} has {len(data)} bytes; {most} are the most. "
                "Store it elsewhere and return where"
            )
