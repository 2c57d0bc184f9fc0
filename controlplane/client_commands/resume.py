"""`steplane resume`: let a function go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import split_function

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("resume", examples=("resume shop/checkout",))
@click.argument("function", metavar="[APP/]FUNCTION")
def resume(session: Session, *, function: str) -> None:
    """Let a paused or disabled function go on.

    The runs that queued up while it was paused start; what came while it was disabled is not made up for.
    """
    session.screen.function_is(session.server.steering.resume(split_function(function)))
