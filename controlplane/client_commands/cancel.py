"""`steplane cancel`: end a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("cancel", examples=('cancel 01JH3Z8V6T0000000000000000 --reason "sent to the wrong list"',))
@click.argument("run_id", metavar="ID")
@click.option("--reason", default="", help="Why, for whoever looks at the run.")
def cancel(session: Session, *, run_id: str, reason: str) -> None:
    """Cancel a run. What it has done stays done; a step that executes just now is told to stop."""
    session.screen.cancelled(session.server.cancel(run_id, reason))
