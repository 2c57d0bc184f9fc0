"""`steplane run`: one run and its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command, limit_option

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "run",
    examples=(
        "run 01JH3Z8V6T0000000000000000",
        "run 01JH3Z8V6T0000000000000000 --watch",
        "run 01JH3Z8V6T0000000000000000 --json | jq '.steps[] | {step_key, state, output}'",
    ),
)
@click.argument("run_id", metavar="ID")
@click.option(
    "--watch", is_flag=True, help="Show it again whenever it changes, until it ends; exits with 1 unless it completes."
)
@limit_option(1_000, of="steps")
def run(session: Session, *, run_id: str, watch: bool, limit: int) -> None:
    """Show one run and its steps.

    Where it stands, what its steps did, and what it returned or why it failed.
    """
    if watch:
        session.follow_run(run_id)
    else:
        session.screen.run(session.server.get_run(run_id), session.server.journal(run_id, limit).items)
