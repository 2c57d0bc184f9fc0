"""One invocation as a machine without I/O: what each step of the code means, given the journal and the server's answers.

The machine owns: step keys, which step is done, to be executed or blocked, when the whole invocation is blocked, and
whether the code is still being replayed. The shell around it owns: the user's code, reports, threads, time. It says what
happened (`begin`, `reported`, `acked`, `resolved`, `abandon`) and reads the status of the step.

Results that are recorded are given in the order in which they were recorded, whichever the code asks for first: one that
came later is held, and looks blocked, until the shell finds the code at rest and says `deliver`.

Only the code here changes a `StepCall`'s status or the machine's state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Any, Final

from steplane.errors import NonDeterminismError
from steplane.replay.journal import AckStatus, Entry, StepKind, StepState
from steplane.replay.key import step_id as id_of
from steplane.replay.key import step_key

_SPELLING: Final[dict[int, str]] = {
    StepKind.RUN: "run",
    StepKind.SLEEP: "sleep",
    StepKind.SEND_EVENTS: "send_event",
    StepKind.WAIT_FOR_EVENT: "wait_for_event",
    StepKind.INVOKE: "invoke",
    StepKind.WAIT_FOR_SIGNAL: "wait_for_signal",
    StepKind.SEND_SIGNAL: "send_signal",
}


class State(Enum):
    """Where an invocation stands."""

    REPLAYING = "replaying"
    """The code walks over what is recorded."""
    EXECUTING = "executing"
    """Something new happens."""
    PARKED = "parked"
    """Every branch is blocked, and the server was told: the code must not go on here."""
    CLOSED = "closed"
    """The function ended, or the invocation was taken away: the code must not go on here."""


class Status(IntEnum):
    """Where a called step stands."""

    EXECUTE = 1
    """The shell is to do it now, and to report it."""
    REPORTED = 2
    """It was done; its ack is awaited."""
    BLOCKED = 3
    """The server has to let time pass first."""
    COMPLETED = 4
    FAILED = 5
    REJECTED = 6
    """The server refused it for good."""


# Members of an enum are slow to look up in it: a tenth of a microsecond, many times a step.
EXECUTE: Final = Status.EXECUTE
REPORTED: Final = Status.REPORTED
BLOCKED: Final = Status.BLOCKED
COMPLETED: Final = Status.COMPLETED
_EXECUTING: Final = State.EXECUTING


class StepCall:
    """One call of a step by the code, until the code has its result."""

    __slots__ = ("attempts", "entry", "is_held", "key", "kind", "machine", "problem", "status", "value", "waiter")

    def __init__(self, machine: Machine, key: str, kind: StepKind) -> None:
        self.machine = machine
        self.key = key
        self.kind = kind
        self.status = EXECUTE
        self.attempts = 0
        """How many tries were made before."""
        self.entry: Entry | None = None
        """The step as it is recorded, as far as that is known here."""
        self.problem = ""
        """Why it was rejected."""
        self.is_held = False
        """Whether its result is recorded, but others were before it."""
        self.value: Any = None
        """The shell's: the result of a try that was executed here."""
        self.waiter: Any = None
        """The shell's: what the code waits for."""


class Machine:
    """The replay of one invocation."""

    __slots__ = (
        "_active",
        "_blocked",
        "_held",
        "_journal",
        "_known",
        "_live",
        "_order",
        "_passed",
        "_used",
        "epoch",
        "is_over",
        "run_id",
        "state",
        "steps_max",
        "traceparent",
    )

    def __init__(
        self,
        *,
        run_id: str,
        epoch: int,
        traceparent: str = "",
        journal: Iterable[Entry] = (),
        steps_max: int = 0,
        in_order: bool = False,
    ) -> None:
        """Begin with a journal. `steps_max` is how many steps a run may have, as far as the server told.

        `in_order` is whether the shell says `deliver`; else all that is recorded is given as it is asked for.
        """
        self.run_id = run_id
        self.epoch = epoch
        self.traceparent = traceparent
        self.steps_max = steps_max
        self._journal = {entry.step_key: entry for entry in journal}
        self._known = len(self._journal)
        self._used: dict[str, int] = {}
        self._live: dict[str, StepCall] = {}
        self._active = 0
        self._blocked = 0
        self._held: list[StepCall] = []
        self._passed: set[str] = set()
        """Whose turn is over, though others that are before them in the order were not asked for."""
        self._order = _in_order(self._journal.values()) if in_order and len(self._journal) > 1 else deque()
        self.state = State.REPLAYING if self._journal else State.EXECUTING
        self.is_over = False
        """Whether the code must not go on here."""

    @property
    def is_blocked(self) -> bool:
        """Whether some called steps are blocked, and all are."""
        return self._blocked > 0 and self._active == 0

    @property
    def live(self) -> Iterable[StepCall]:
        """The calls that the code has no result of yet."""
        return self._live.values()

    @property
    def live_count(self) -> int:
        """How many these are."""
        return len(self._live)

    @property
    def has_held(self) -> bool:
        """Whether results wait to be delivered."""
        return bool(self._held)

    def begin(self, step_id: str, kind: StepKind) -> StepCall:
        """The code calls a step. Raises `NonDeterminismError` if another kind is recorded, `StepIdError` for a bad id."""
        assert not self.is_over, f"run {self.run_id}: step {step_id!r} was called after the end"
        occurrence = self._used.get(step_id, 0)
        key = step_key(step_id, occurrence)
        self._used[step_id] = occurrence + 1
        call = StepCall(self, key, kind)
        entry = self._journal.pop(key, None) if self._journal else None
        if entry is None:
            self._known += 1
        elif entry.kind != kind:
            raise NonDeterminismError(_mismatch(key, expected=entry.kind, found=kind))
        else:
            call.entry, call.attempts, call.status = entry, entry.attempts, _status_of(entry)
            if call.status > BLOCKED and self._order and not self._is_next(key):
                self._hold(call)
        if call.status is EXECUTE:
            self._active += 1
            self._live[key] = call
            self.state = _EXECUTING
        elif call.is_held:
            self._active += 1
            self._live[key] = call
        elif call.status is BLOCKED:
            self._blocked += 1
            self._live[key] = call
        if not self._journal:
            self.state = _EXECUTING
        return call

    def reported(self, call: StepCall, *, is_certain: bool = True) -> None:
        """The shell did the step and reports it.

        A sleep blocks from its report on, before the ack comes, unless the server might refuse it: so it can be parked
        together with its report. Any other step that blocks does so from its ack on: a wait may be refused, and what is
        invoked may have ended before the answer comes.
        """
        if call.kind is StepKind.SLEEP and is_certain and self._known <= self.steps_max:
            self._active -= 1
            self._blocked += 1
            call.status = BLOCKED
        else:
            call.status = REPORTED

    def acked(self, step_key: str, status: int, entry: Entry | None = None, message: str = "") -> StepCall | None:
        """The server answers a step's report. The result is the call that can go on, if one can.

        Without an entry, what was reported is what is recorded: a try that succeeded.
        """
        call = self._live.get(step_key)
        if call is None:
            return None
        if status == AckStatus.REJECTED:
            call.problem = message
            return self._move(call, Status.REJECTED)
        call.entry = entry
        return self._move(call, COMPLETED if entry is None else _status_of(entry))

    def resolved(self, entry: Entry) -> StepCall | None:
        """The server lets a blocked step go on. The result is the call that can go on, if one can."""
        call = self._live.get(entry.step_key)
        if call is None or call.status is not BLOCKED:
            return None
        call.entry = entry
        return self._move(call, _status_of(entry))

    def deliver(self) -> StepCall:
        """The code is at rest: the result that is the next of those that are held is given to it."""
        call = min(self._held, key=lambda call: call.entry.ended_at if call.entry is not None else 0)
        self._release(call)
        del self._live[call.key]
        call.status = COMPLETED if call.entry is None else _status_of(call.entry)
        return call

    def abandon(self, call: StepCall) -> None:
        """The code no longer waits for the step: its branch was cancelled."""
        if call.is_held:
            self._release(call)
            del self._live[call.key]
        elif self._live.pop(call.key, None) is not None:
            self._count(call.status, -1)

    def park(self) -> list[str]:
        """Stop here, since every branch is blocked. The result are the keys of the steps that block."""
        assert self.is_blocked, f"run {self.run_id}: parked with {self._active} active steps"
        self.state = State.PARKED
        self.is_over = True
        return [call.key for call in self._live.values()]

    def close(self) -> None:
        """Stop here."""
        self.state = State.CLOSED
        self.is_over = True

    def _is_next(self, key: str) -> bool:
        """Whether all that was recorded before a step is with the code already."""
        order = self._order
        while order and order[0] in self._passed:
            self._passed.discard(order.popleft())
        if not order or order[0] != key:
            return not order
        order.popleft()
        return True

    def _hold(self, call: StepCall) -> None:
        call.is_held, call.status = True, BLOCKED
        self._held.append(call)

    def _release(self, call: StepCall) -> None:
        # It counted as active: a run is not parked on what is done.
        self._active -= 1
        self._held.remove(call)
        self._passed.add(call.key)
        call.is_held = False

    def _move(self, call: StepCall, status: Status) -> StepCall | None:
        self._count(call.status, -1)
        call.status = status
        if status > BLOCKED:
            del self._live[call.key]
            return call
        self._count(status, 1)
        if call.entry is not None:
            call.attempts = call.entry.attempts
        return call if status is EXECUTE else None

    def _count(self, status: Status, change: int) -> None:
        if status is BLOCKED:
            self._blocked += change
        else:
            self._active += change


def _in_order(entries: Iterable[Entry]) -> deque[str]:
    """The keys of the steps that have ended, in the order in which they did."""
    ended = [entry for entry in entries if entry.state in (StepState.COMPLETED, StepState.FAILED)]
    ended.sort(key=lambda entry: entry.ended_at)
    return deque(entry.step_key for entry in ended)


def _status_of(entry: Entry) -> Status:
    match entry.state:
        case StepState.COMPLETED:
            return COMPLETED
        case StepState.FAILED:
            return Status.FAILED
        case StepState.RETRYING if not entry.is_due_later:
            return EXECUTE
        case _:
            return BLOCKED


def _mismatch(key: str, *, expected: int, found: StepKind) -> str:
    name = id_of(key)
    recorded = _SPELLING.get(expected, f"<kind {expected}>")
    return (
        f"the code no longer matches the journal of this run at step {key!r}\n"
        f"  expected: step.{recorded}({name!r}, ...), as it is recorded\n"
        f"  found:    step.{_SPELLING[found]}({name!r}, ...), as the code now calls it\n"
        "Give a step that does something else another id; runs that have begun keep what is recorded of them."
    )
