"""`steplane release`: let a run go on that was set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("release", examples=("runs --state set_aside", "release 01JH3Z8V6T0000000000000000"))
@click.argument("run_id", metavar="ID")
def release(session: Session, *, run_id: str) -> None:
    """Queue a run again that was set aside.

    A run is set aside when worker after worker was lost while it had it: most likely it makes them crash. Mend the
    code, deploy it, and release the run; or cancel it.
    """
    session.screen.steered(session.server.steering.release(run_id))
