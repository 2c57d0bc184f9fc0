"""`steplane runs`: what runs, and what ran."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from controlplane.client_commands.command import client_command, limit_option
from controlplane.client_commands.input import moment, split_function
from controlplane.client_commands.show.times import to_micros

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session

_STATES: Final = ("queued", "running", "waiting", "completed", "failed", "cancelled")


@client_command(
    "runs",
    examples=(
        "runs --state failed --since 1h",
        "runs --function shop/checkout --limit 100",
        "runs --event order-1 --json | jq -r .id",
    ),
)
@click.option("--function", default="", metavar="[APP/]FUNCTION", help="Only of this function.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES, case_sensitive=False),
    metavar="STATE",
    help="Only in this state; may be given again. One of " + ", ".join(_STATES) + ".",
)
@click.option("--event", "event_id", default="", metavar="ID", help="Only those that this event started.")
@click.option("--since", type=moment, help="Only those created since: ISO 8601, or so long ago (90s, 10m, 2h, 3d).")
@limit_option(20)
def runs(
    session: Session, *, function: str, states: tuple[str, ...], event_id: str, since: datetime | None, limit: int
) -> None:
    """List runs, newest first."""
    app_id, function_id = split_function(function)
    listed = session.server.list_runs(
        app_id=app_id,
        function_id=function_id,
        states=states,
        event_id=event_id,
        since=to_micros(since) if since else None,
        limit=limit,
    )
    session.screen.runs(listed)
