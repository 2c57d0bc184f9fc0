"""`steplane delete`: forget a function that no worker serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.ask import ask
from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import split_function

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("delete", examples=("delete shop/checkout", "delete shop/checkout --yes"))
@click.argument("function", metavar="[APP/]FUNCTION")
@click.option("--yes", "-y", is_flag=True, help="Do not ask first. Needed without a terminal.")
def delete(session: Session, *, function: str, yes: bool) -> None:
    """Delete a function, and cancel its runs.

    Refused while a live worker serves it. What its runs did can still be looked at. A worker that registers the
    function brings it back.
    """
    if not yes:
        ask(f"Delete {function}, and cancel its runs?")
    name = split_function(function)
    session.screen.deleted(function, session.server.steering.delete(name))
