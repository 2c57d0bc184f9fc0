"""Lets the branches of an async function hear of results one at a time, in the order in which the server recorded them.

What branches do with their results can depend on which came first, so it has to be the same in each replay. Therefore the code
comes to rest after each result before it gets the next, live and in replay alike: by then the branch has gone on to where it
waits next, and whoever it told has done so too. Code that awaits something else than steps is not waited for.

Nobody can see every task of a function: those that it does not await just now are out of sight. So some rounds of the loop
pass in any case, which is enough for what such tasks tell each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from steplane.replay.machine import BLOCKED, StepCall
from steplane.worker.quiet import Quiet

if TYPE_CHECKING:
    from steplane.worker.invocation import Invocation

#: Rounds for the tasks that are out of sight.
_BLIND_ROUNDS: Final = 4
#: Rounds in a row in which the tasks in sight have to be found at rest. A task that has ended tells those that await it in the
#: next round of the loop only: for the length of one round these look as if nothing had happened.
_SEEN_ROUNDS: Final = 2
#: Code that is still about to run after so many rounds spins, and may do so until it has its result.
_ROUNDS_MAX: Final = 256


class Delivery:
    """The results that the branches of one invocation have not heard of yet."""

    __slots__ = ("_invocation", "_is_settling", "_queue", "_quiet_rounds", "_rounds", "is_busy")

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._queue: deque[StepCall] = deque()
        self._quiet_rounds = 0
        self._rounds = 0
        self._is_settling = False
        """Whether something was delivered, and the code has not come to rest since."""
        self.is_busy = False
        """Whether a branch was told something a moment ago, or is to be: then no other may be told at once."""

    @property
    def queue(self) -> Iterable[StepCall]:
        """Calls that the server let go on just now, and whose branches have not heard of it."""
        return self._queue

    def add(self, call: StepCall) -> None:
        """A call can go on, and others are live: its branch hears of it in its turn."""
        queue = self._queue
        place = len(queue)
        ended_at = _ended_at(call)
        # Answers to reports and resolutions come each in their order, but not all tell when the step ended.
        while ended_at and place and _ended_at(queue[place - 1]) > ended_at:
            place -= 1
        queue.insert(place, call)
        self.consider()

    def consider(self) -> None:
        """The code has done something, and may be about to come to rest."""
        self._quiet_rounds = 0
        if not self.is_busy:
            self.is_busy = True
            self._rounds = 0
            self._invocation.owner.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        invocation, machine = self._invocation, self._invocation.machine
        if machine.is_over:
            return
        if not self._is_settling and machine.is_lone and invocation.body.is_simple:
            # A function of one branch, as far as it has come: it is replayed at a round a step.
            self.is_busy = False
            invocation.body.wake(machine.deliver())
        elif not self._is_at_rest() or self._deliver():
            invocation.owner.loop.call_soon(self._go_on)
        else:
            self.is_busy = self._is_settling = False
            invocation.consider_parking()

    def _is_at_rest(self) -> bool:
        self._rounds += 1
        self._quiet_rounds += 1
        if self._quiet_rounds <= _BLIND_ROUNDS:
            return False
        if self._invocation.body.quiet() is Quiet.RUNNABLE and self._rounds < _ROUNDS_MAX:
            self._quiet_rounds = _BLIND_ROUNDS
        return self._quiet_rounds >= _BLIND_ROUNDS + _SEEN_ROUNDS or self._rounds >= _ROUNDS_MAX

    def _deliver(self) -> bool:
        """Let one branch go on. Whether there was any."""
        machine, wake = self._invocation.machine, self._invocation.body.wake
        if machine.has_held:
            wake(machine.deliver())
        elif self._queue:
            wake(self._queue.popleft())
        elif machine.has_postponed:
            for call in machine.proceed():
                wake(call)
        else:
            return False
        self._is_settling = True
        self._quiet_rounds = self._rounds = 0
        return True


def _ended_at(call: StepCall) -> int:
    """When the step ended, as far as that was told."""
    return call.entry.ended_at if call.entry is not None and call.status > BLOCKED else 0
