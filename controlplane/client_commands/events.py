"""`steplane events`: what happened lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command, limit_option

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "events",
    examples=(
        "events --name shop/order.created",
        "events --id order-1 --json | jq .data",
    ),
)
@click.option("--name", default="", help="Only of this name.")
@click.option("--id", "event_id", default="", metavar="ID", help="Only with this id.")
@limit_option(20)
def events(session: Session, *, name: str, event_id: str, limit: int) -> None:
    """List events, newest first."""
    session.screen.events(session.server.list_events(name=name, id_=event_id, limit=limit))
