"""`steplane runs`: what runs, and what ran."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command, limit_option
from controlplane.client_commands.input import split_function
from controlplane.client_commands.selection import STATES, since_option, state_option, until_option
from controlplane.client_commands.show.times import to_micros

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "runs",
    examples=(
        "runs --state failed --since 1h",
        "runs --function shop/checkout --limit 100",
        "runs --event order-1 --json | jq -r .id",
    ),
)
@click.option("--function", default="", metavar="[APP/]FUNCTION", help="Only of this function.")
@state_option(STATES)
@click.option("--event", "event_id", default="", metavar="ID", help="Only those that this event started.")
@since_option()
@until_option()
@limit_option(20)
def runs(
    session: Session,
    *,
    function: str,
    states: tuple[str, ...],
    event_id: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> None:
    """List runs, newest first."""
    listed = session.server.list_runs(
        function=split_function(function),
        states=states,
        event_id=event_id,
        since=to_micros(since) if since else None,
        until=to_micros(until) if until else None,
        limit=limit,
    )
    session.screen.runs(listed)
