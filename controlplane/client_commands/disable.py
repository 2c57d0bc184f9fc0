"""`steplane disable`: let nothing start a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import split_function

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command("disable", examples=("disable shop/checkout",))
@click.argument("function", metavar="[APP/]FUNCTION")
def disable(session: Session, *, function: str) -> None:
    """Disable a function.

    Nothing starts it any more: no event, no schedule, no invocation. The runs that it has go on.
    """
    disabled = session.server.steering.disable(split_function(function))
    session.screen.function_is(disabled)
    session.screen.hint(f"To let it start again: steplane resume {function}")
