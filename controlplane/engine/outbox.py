"""Where the committed effects for one session go: the engine's side of a stream.

The engine calls `deliver` on the event loop's thread, once a turn a session, only after the commit. The rpc layer
implements it; it must not block and must not raise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from controlplane.core.records import Ack, Cancellation, Invocation, Lease, Resolution

CLOSED_SILENT: Final = "the session was silent for too long"
CLOSED_SUPERSEDED: Final = "the worker opened a newer stream, or polled again"


@dataclass(slots=True)
class Delivery:
    """What one turn has for one session. To be sent in the order of the fields."""

    updates: list[Ack | Resolution] = field(default_factory=list)
    """What became of steps: answers to reports, and steps that may go on. The order of those of one run counts."""
    cancellations: list[Cancellation] = field(default_factory=list)
    heartbeat_stop: list[Lease] | None = None
    """The answer to a heartbeat, if there was one."""
    invocations: list[Invocation] = field(default_factory=list)
    drained: int | None = None
    """How many invocations were ever sent, if the worker asked to drain: none follow this delivery."""
    closed: str = ""
    """Why the server ends the session, if it does (one of the texts above): nothing follows this delivery."""


class Outbox(Protocol):
    """Takes a session's deliveries, in order."""

    def deliver(self, delivery: Delivery) -> None:
        """Take one delivery, on the event loop's thread."""
        ...
