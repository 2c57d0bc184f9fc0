"""`steplane functions`: what the workers serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command, limit_option

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("functions", examples=("functions", "functions --app shop --json"))
@click.option("--app", "app_id", default="", metavar="APP", help="Only of this app.")
@limit_option(1_000)
def functions(session: Session, *, app_id: str, limit: int) -> None:
    """List functions.

    With what triggers them, how often they are tried again, and how many workers serve them now.
    """
    session.screen.functions(session.server.list_functions(app_id=app_id, limit=limit))
