"""`steplane signal`: wake the run that waits for a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import json_value
from controlplane.client_commands.problems import Missing

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("signal", examples=("signal order-1-approved", """signal order-1-approved --data '{"by": "ann"}'"""))
@click.argument("name")
@click.option(
    "--data",
    type=json_value,
    default="null",
    show_default=True,
    metavar="JSON",
    help="What the step that waits returns: any JSON as it is, @FILE, or - for standard input.",
)
def signal(session: Session, *, name: str, data: bytes) -> None:
    """Send a signal to the run that waits for it.

    Prints the id of the run that got it. A signal is not kept: if nobody waits for it, nothing happens, and that is a
    failure.
    """
    try:
        run_id = session.server.send_signal(name, data)
    except Missing:
        raise Missing(
            f"no run got the signal {name!r}: nobody waits for it",
            remedy="It may have been sent before, or its run may have ended. Which runs wait: steplane runs --state waiting",
        ) from None
    session.screen.signalled(name, run_id)
