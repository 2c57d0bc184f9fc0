"""What every stream, poll and report of workers goes by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from controlplane.engine.commands import Command
from controlplane.engine.mailbox import Mailbox
from controlplane.engine.settings import Settings
from controlplane.rpc.stream_outbox import Patience

STOPPING: Final = "the server is stopping; connect again"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What all of them share."""

    mailbox: Mailbox
    settings: Settings
    clock: Callable[[], int]
    server: str
    """The server and its version."""
    patience: Patience

    def order(self, command: Command) -> None:
        """Submit what must be done, and leave it to itself."""
        self.mailbox.submit_internal(command).add_done_callback(_forget)


def _forget(answer: asyncio.Future[Any]) -> None:
    """Look at an answer, so that asyncio does not complain that nobody did."""
    if not answer.cancelled():
        answer.exception()
