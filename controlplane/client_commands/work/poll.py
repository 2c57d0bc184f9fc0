"""`steplane work poll`: take a run to work on."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import duration

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "poll",
    examples=(
        "work poll --app shop --function fulfil | jq '.events[0].data'",
        "work poll --app shop --function fulfil --function refund --wait 60s --instance till-7 --shell",
    ),
)
@click.option("--app", "app_id", required=True, metavar="APP", help="The app of the functions.")
@click.option(
    "--function",
    "function_ids",
    multiple=True,
    required=True,
    metavar="FUNCTION",
    help="A function that this worker serves; it must be registered. May be given again.",
)
@click.option(
    "--wait",
    type=duration,
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="How long to wait for work, up to 60s.",
)
@click.option(
    "--instance",
    default="",
    metavar="NAME",
    help="The name of this worker, which polls once at a time. What an earlier poll of that name was given, and did not end, "
    "is handed out again at once: give a worker the same name whenever it starts, and each its own. By itself, every poll "
    "has a name of its own.",
)
@click.option("--shell", is_flag=True, help="Assignments for `eval` in bash, instead of JSON.")
def poll(
    session: Session, *, app_id: str, function_ids: tuple[str, ...], wait: timedelta, instance: str, shell: bool
) -> None:
    """Take one run to work on.

    Prints its invocation as JSON, with the values of events and steps as they are; nothing at all if no work came in time.
    It is yours until nobody polled or reported for 30 seconds (the server's session time-out): what takes longer needs a
    `steplane work report` now and then. Its journal has the steps that are recorded: never do these again.

    With --shell these variables are set, for bash 4.2 or newer: STEPLANE_RUN and STEPLANE_EPOCH (exported, for `steplane
    work report`; empty if no work came), function_id, attempt, traceparent, event_id, event_name, event_data, and by name
    or by step: data[order], state[charge#0], output[charge#0], failure[charge#0], attempts[charge#0]. Texts are as they
    are, all other values JSON.
    """
    invocation = session.server.working.poll(
        app_id=app_id, function_ids=function_ids, instance_id=instance or uuid.uuid4().hex, wait=wait
    )
    if shell:
        session.screen.assignments(invocation)
    elif invocation is not None:
        session.screen.invocation(invocation)
