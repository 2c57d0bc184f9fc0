"""One invocation as a machine without I/O: what each step of the code means, given the journal and the server's answers.

The machine owns: step keys, which step is done, to be executed or blocked, when the whole invocation is blocked, and
whether the code is still being replayed. The shell around it owns: the user's code, reports, threads, time. It says what
happened (`begin`, `reported`, `acked`, `resolved`, `abandon`) and reads the status of the step.

In a machine that is `in_order`, what is recorded is not given as it is asked for: a result is held, and nothing is to be
reported for it, until the shell finds the code at rest and says `deliver`, which gives the one that was recorded first. Bodies of steps that have
no result wait until no recorded one is left: what comes of those may be that they are not needed, as it was live.

Only the code here changes a `StepCall`'s status or the machine's state.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Any, Final

from steplane.errors import NonDeterminismError
from steplane.replay.journal import AckStatus, Entry, StepKind, StepState
from steplane.replay.key import step_id as id_of
from steplane.replay.key import step_key
from steplane.replay.order import Order

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
_RUN: Final = StepKind.RUN


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
        """Whether it is held: it counts as active, since a run is not parked on what can go on here."""
        self.value: Any = None
        """The shell's: the result of a try that was executed here."""
        self.waiter: Any = None
        """The shell's: what the code waits for."""


class Machine:
    """The replay of one invocation."""

    __slots__ = (
        "_active",
        "_blocked",
        "_journal",
        "_known",
        "_live",
        "_may_postpone",
        "_order",
        "_postponed",
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
        self._order: Order[StepCall] | None = Order(self._journal.values()) if in_order and self._journal else None
        """Of the recorded results that the code does not have yet; `None` if there are none."""
        self._postponed: dict[str, StepCall] = {}
        """Calls whose bodies wait until no recorded result is left."""
        self._may_postpone = True
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
        return self._order is not None and self._order.has_held

    @property
    def has_postponed(self) -> bool:
        """Whether bodies wait to be begun."""
        return bool(self._postponed)

    @property
    def is_lone(self) -> bool:
        """Whether one step only is called, and its result is the very next one that was recorded."""
        return self._order is not None and len(self._live) == 1 and self._order.is_next_held

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
        if self._order is not None:
            self._hold(call, self._order)
        if call.is_held:
            self._active += 1
            self._live[key] = call
        elif call.status is EXECUTE:
            self._active += 1
            self._live[key] = call
            self.state = _EXECUTING
        elif call.status is BLOCKED:
            self._blocked += 1
            self._live[key] = call
        self._note_progress()
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
        if call is None or call.status is not BLOCKED or call.is_held:
            return None
        call.entry = entry
        return self._move(call, _status_of(entry))

    def deliver(self) -> StepCall:
        """The code is at rest: of the results that are held, it is given the one that was recorded first."""
        assert self._order is not None, f"run {self.run_id}: nothing is held"
        call = self._order.first
        self._let_go(call)
        assert call.entry is not None
        call.status = _status_of(call.entry)
        self._note_progress()
        return call

    def proceed(self) -> list[StepCall]:
        """The code is at rest, and no result is left for it: the bodies that waited for that may begin."""
        calls, self._postponed = list(self._postponed.values()), {}
        self._may_postpone = False  # what else is recorded is not asked for, as far as anybody can tell
        for call in calls:
            call.is_held, call.status = False, EXECUTE
        self.state = _EXECUTING
        return calls

    def abandon(self, call: StepCall) -> None:
        """The code no longer waits for the step: its branch was cancelled."""
        if call.is_held:
            self._let_go(call)
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

    def _hold(self, call: StepCall, order: Order[StepCall]) -> None:
        """Hold what was just begun, if it is to wait for its turn."""
        if order.hold(call.key, call):
            call.is_held, call.status = True, BLOCKED
        elif call.status is EXECUTE and call.kind is _RUN and self._may_postpone:
            self._postponed[call.key] = call
            call.is_held, call.status = True, BLOCKED

    def _let_go(self, call: StepCall) -> None:
        call.is_held = False
        self._active -= 1
        del self._live[call.key]
        if self._postponed.pop(call.key, None) is None and self._order is not None:
            self._order.let_go(call.key)
            if self._order.is_over:
                self._order = None

    def _note_progress(self) -> None:
        if self.state is not _EXECUTING and not (self._journal or self.has_held or self._postponed):
            self.state = _EXECUTING

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
