"""`steplane functions`: what the workers serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command, limit_option
from controlplane.client_commands.input import split_function
from controlplane.client_commands.problems import Wrong

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("functions", examples=("functions", "functions --app shop --json", "functions shop/checkout"))
@click.argument("function", metavar="[[APP/]FUNCTION]", default="")
@click.option("--app", "app_id", default="", metavar="APP", help="Only of this app.")
@limit_option(1_000)
def functions(session: Session, *, function: str, app_id: str, limit: int) -> None:
    """List functions, or show one.

    The list has what triggers them, how often they are tried again, and how many workers serve them now. With a
    FUNCTION, its flow control is told too: what its runs wait for, and which are skipped or cancelled.
    """
    if function and app_id:
        raise Wrong("--app is for lists", remedy="Write APP/FUNCTION.")
    if function:
        session.screen.function(session.server.get_function(split_function(function)))
    else:
        session.screen.functions(session.server.list_functions(app_id=app_id, limit=limit))
