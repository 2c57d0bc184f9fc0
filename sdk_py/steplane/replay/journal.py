"""The recorded steps of a run, as replay reads them. The numbers are those of the wire."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


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
    """Where a recorded step stands."""

    PENDING = 1
    RETRYING = 2
    COMPLETED = 3
    FAILED = 4


class Failure(NamedTuple):
    """An error raised by a user's code, or by the server, which then gives a reason."""

    name: str
    message: str
    stack: str = ""
    step_key: str = ""
    reason: str = ""


class Entry(NamedTuple):
    """One recorded step."""

    step_key: str
    kind: int
    state: int
    output: bytes = b""
    encoding: str = ""
    failure: Failure | None = None
    attempts: int = 0
    is_due_later: bool = False
    """Whether a retry has to wait yet: without it, a RETRYING step is to be tried now."""
    event_ids: tuple[str, ...] = ()
    ended_at: int = 0
    """When it was done or failed for good, in microseconds; no two steps of a run have the same."""


class AckStatus(IntEnum):
    """What became of a report."""

    COMMITTED = 1
    DUPLICATE = 2
    STALE_EPOCH = 3
    RUN_ENDED = 4
    REJECTED = 5
