"""`steplane lineage`: all that came of an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command, limit_option

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "lineage",
    examples=(
        "lineage 01JH3Z8V6T0000000000000000",
        "lineage order-1 --children 0 --depth 0",
        "lineage order-1 --json | jq '.runs[] | select(.state == \"failed\")'",
    ),
)
@click.argument("event_id", metavar="EVENT")
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    show_default=True,
    help="Events below one another; 0: all.",
)
@click.option(
    "--children",
    type=click.IntRange(min=0),
    metavar="N",
    default=20,
    show_default=True,
    help="Events below a step, and steps below a run; 0: all.",
)
@limit_option(1_000, of="runs to read", maximum=10_000)
def lineage(session: Session, *, event_id: str, depth: int, children: int, limit: int) -> None:
    """Show all that came of an event, as a tree.

    The event, the runs that it started, their steps, the events that these sent, the runs that those started, and so
    on. JSON has flat lists of events and runs, tied together by their ids, and nothing is cut off but by --limit.
    """
    session.screen.lineage(session.server.lineage(event_id, run_limit=limit), depth=depth, children=children)
