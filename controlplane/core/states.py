"""Every state of a run and of a step, and every way from one to the next.

Nothing else may decide which change of a run's state is legal. The numbers are those of the wire and of the store.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class RunState(IntEnum):
    """Where a run stands."""

    QUEUED = 1
    RUNNING = 2
    WAITING = 3
    COMPLETED = 4
    FAILED = 5
    CANCELLED = 6
    SKIPPED = 7
    SET_ASIDE = 8


class RunChange(IntEnum):
    """What can happen to a run."""

    LEASED = 1
    """A session with a free slot takes it."""
    PARKED = 2
    """Its worker says that every branch is blocked."""
    FREED = 3
    """Its lease ends without an outcome: session lost, released, or parked on what is already met."""
    BACKED_OFF = 4
    """Its body failed outside steps, and is to be tried again later."""
    WOKEN = 5
    """What it waits for came."""
    RETURNED = 6
    """The function returned."""
    FAILED = 7
    """The function failed for good."""
    CANCELLED = 8
    """Somebody cancelled it."""
    SET_ASIDE = 9
    """Its lease ends without an outcome, once too often."""
    RELEASED = 10
    """Somebody lets it go on that was set aside."""


class StepKind(IntEnum):
    """What a step does."""

    RUN = 1
    SLEEP = 2
    SEND_EVENTS = 3
    WAIT_FOR_EVENT = 4
    INVOKE = 5
    WAIT_FOR_SIGNAL = 6
    SEND_SIGNAL = 7


class StepState(IntEnum):
    """Where a step stands."""

    PENDING = 1
    RETRYING = 2
    COMPLETED = 3
    FAILED = 4


TRANSITIONS: Final[dict[RunState, dict[RunChange, RunState]]] = {
    RunState.QUEUED: {
        RunChange.LEASED: RunState.RUNNING,
        RunChange.CANCELLED: RunState.CANCELLED,
    },
    RunState.RUNNING: {
        RunChange.PARKED: RunState.WAITING,
        RunChange.FREED: RunState.QUEUED,
        RunChange.SET_ASIDE: RunState.SET_ASIDE,
        RunChange.BACKED_OFF: RunState.WAITING,
        RunChange.RETURNED: RunState.COMPLETED,
        RunChange.FAILED: RunState.FAILED,
        RunChange.CANCELLED: RunState.CANCELLED,
    },
    RunState.WAITING: {
        RunChange.WOKEN: RunState.QUEUED,
        RunChange.CANCELLED: RunState.CANCELLED,
    },
    RunState.SET_ASIDE: {
        RunChange.RELEASED: RunState.QUEUED,
        RunChange.CANCELLED: RunState.CANCELLED,
    },
    RunState.COMPLETED: {},
    RunState.FAILED: {},
    RunState.CANCELLED: {},
    RunState.SKIPPED: {},
}

ENDED: Final = frozenset(state for state, ways in TRANSITIONS.items() if not ways)


class IllegalTransition(AssertionError):
    """A change that the table lacks was asked for: a bug of the engine."""


def after(state: RunState, change: RunChange, *, run_id: str) -> RunState:
    """The state that `change` leads to from `state`; raises `IllegalTransition` if there is no such way."""
    found = TRANSITIONS[state].get(change)
    if found is None:
        raise IllegalTransition(f"run {run_id}: {state.name} --{change.name}-->")
    return found
