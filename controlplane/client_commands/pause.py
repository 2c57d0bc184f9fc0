"""`steplane pause`: let a function's runs queue up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import split_function

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("pause", examples=("pause shop/checkout",))
@click.argument("function", metavar="[APP/]FUNCTION")
def pause(session: Session, *, function: str) -> None:
    """Pause a function.

    Its runs queue up, and nothing is lost; those that are live go on until they wait for something, or end.
    """
    paused = session.server.steering.pause(split_function(function))
    session.screen.function_is(paused)
    session.screen.hint(f"To let it go on: steplane resume {function}")
