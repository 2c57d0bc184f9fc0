"""`steplane trigger`: start a function at once, as its trigger would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import json_object, split_function

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "trigger",
    examples=(
        "trigger weekly-activity-load-users --wait",
        """trigger shop/checkout '{"id": 1}'""",
    ),
)
@click.argument("function", metavar="[APP/]FUNCTION")
@click.argument("data", type=json_object, default="{}", metavar="[JSON]")
@click.option(
    "--id", "event_id", default="", metavar="ID", help="Of the event made for it; a second one starts nothing."
)
@click.option(
    "--wait", is_flag=True, help="Follow the run until it ends, with its steps; exits with 1 unless it completes."
)
def trigger(session: Session, *, function: str, data: bytes, event_id: str, wait: bool) -> None:
    """Start one run of a function now.

    The app may be left out if only one app has a function of that id. JSON is the data of the event that the run gets:
    as it is, @FILE, or - for standard input. Prints the run's id.
    """
    answer = session.server.trigger(split_function(function), data=data, event_id=event_id)
    session.screen.triggered(answer.event_id, answer.run_id)
    if not answer.run_id:
        return
    if wait:
        session.follow_run(answer.run_id)
    else:
        session.screen.hint(f"How it goes: steplane run {answer.run_id} --watch")
