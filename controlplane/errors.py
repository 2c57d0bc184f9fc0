"""Every error that the server raises on purpose, and whose fault it is.

Codes of gRPC are given to them in `rpc/status.py` only.
"""

from __future__ import annotations

from typing import NamedTuple


class FieldViolation(NamedTuple):
    """One field of a request that is wrong, by its path, for example `events[3].name`."""

    field: str
    description: str


class SteplaneError(Exception):
    """The base of all of them."""

    reason = "INTERNAL"


class CallerError(SteplaneError):
    """The caller asked for something that can't be done."""


class InvalidArgument(CallerError):
    """The request is wrong, whatever the state of the server."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, *violations: FieldViolation) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = violations


class NotFound(CallerError):
    """What the request names does not exist."""

    reason = "NOT_FOUND"

    def __init__(self, *, kind: str, name: str, hint: str = "") -> None:
        super().__init__(f"there is no {kind} {name!r}{'. ' if hint else ''}{hint}")
        self.kind = kind
        self.name = name


class FailedPrecondition(CallerError):
    """The request is right, but not now."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TimedOut(CallerError):
    """The caller was silent for longer than it may be."""

    reason = "SILENT"


class Superseded(CallerError):
    """A newer stream or poll of the same worker took over."""

    reason = "SESSION_SUPERSEDED"


class NotReading(CallerError):
    """The caller does not take what it is sent."""

    reason = "NOT_READING"


class Saturated(SteplaneError):
    """The server has as much work queued as it may; try again in a moment."""

    reason = "SATURATED"


class Stopping(SteplaneError):
    """The server is stopping; try another, or again in a moment."""

    reason = "STOPPING"


class StoreError(SteplaneError):
    """The store can't do its work: a full or broken disk, a locked or foreign file."""

    reason = "STORE"
