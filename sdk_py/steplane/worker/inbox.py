"""What a session tells the user's side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from steplane.errors import RegistrationError
from steplane.gen.steplane.v1 import work_pb2
from steplane.limits import Limits
from steplane.replay.journal import Entry
from steplane.worker.outbox import IncomingAck, Lease


class Inbox(Protocol):
    """The user's side. Each method is called on its event loop's thread, in the order that things came."""

    def welcomed(self, limits: Limits, lost: Sequence[Lease]) -> None:
        """A stream is open. The lost leases are to be stopped."""
        ...

    def invoked(self, invocations: Sequence[work_pb2.Invocation]) -> None:
        """Work came."""
        ...

    def journal_continued(self, part: work_pb2.JournalPart) -> None:
        """More of a journal came."""
        ...

    def acked(self, acks: Sequence[IncomingAck]) -> None:
        """Reports were answered."""
        ...

    def resolved(self, resolutions: Sequence[tuple[Lease, Entry]]) -> None:
        """Blocked steps may go on."""
        ...

    def taken_away(self, leases: Sequence[Lease], reason: str) -> None:
        """Leases are to be stopped."""
        ...

    def disconnected(self) -> None:
        """The stream is gone; another is being opened."""
        ...

    def settled(self) -> None:
        """While draining: every outcome is acknowledged, and nothing is held."""
        ...

    def drain_acked(self) -> None:
        """No more work comes on this stream."""
        ...

    def refused(self, error: RegistrationError) -> None:
        """The server does not take what this worker serves; the session has ended."""
        ...
