"""`steplane cancel`: end a run, or all that match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.selection import LIVE_STATES, Selection, is_one, selection_options

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "cancel",
    examples=(
        'cancel 01JH3Z8V6T0000000000000000 --reason "sent to the wrong list"',
        "cancel --function shop/checkout --state queued --since 1h --dry-run",
        """cancel --function checkout --if 'event.data.user == "u1"' --yes""",
    ),
)
@click.argument("run_id", metavar="[ID]", default="")
@selection_options(LIVE_STATES)
@click.option("--reason", default="", help="Why, for whoever looks at the runs.")
def cancel(session: Session, *, run_id: str, selection: Selection, dry_run: bool, yes: bool, reason: str) -> None:
    """Cancel a run, or all that match.

    What a run has done stays done; a step that executes just now is told to stop. With options instead of an ID, all
    runs that match all of them are cancelled, newest first: they are counted, and you are asked before it is done.
    """
    steering = session.server.steering
    if is_one(run_id, selection, dry_run=dry_run):
        session.screen.steered(steering.cancel(run_id, reason))
    else:
        session.give_order(
            "cancel",
            "cancelled",
            lambda is_dry: steering.cancel_all(selection, reason, dry_run=is_dry),
            dry_run=dry_run,
            yes=yes,
        )
