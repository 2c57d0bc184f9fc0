"""The client side of the command line: what asks a running server, over gRPC, and shows what it says.

Imports nothing of the server but the generated contract. What is slow to import (gRPC, rich) is loaded by `session`
when a command runs, so that `steplane --help` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.client_commands.cancel import cancel
from controlplane.client_commands.delete import delete
from controlplane.client_commands.disable import disable
from controlplane.client_commands.events import events
from controlplane.client_commands.functions import functions
from controlplane.client_commands.lineage import lineage
from controlplane.client_commands.pause import pause
from controlplane.client_commands.release import release
from controlplane.client_commands.replay import replay
from controlplane.client_commands.resume import resume
from controlplane.client_commands.run import run
from controlplane.client_commands.runs import runs
from controlplane.client_commands.send import send
from controlplane.client_commands.signal import signal
from controlplane.client_commands.trigger import trigger
from controlplane.client_commands.work import work

if TYPE_CHECKING:
    import click

COMMANDS: tuple[click.Command, ...] = (
    send,
    signal,
    trigger,
    events,
    runs,
    run,
    lineage,
    cancel,
    replay,
    release,
    functions,
    pause,
    resume,
    disable,
    delete,
    work,
)

__all__ = ["COMMANDS"]
