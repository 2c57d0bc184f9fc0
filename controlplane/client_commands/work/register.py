"""`steplane work register`: tell the server of a function, and what starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import read_json
from controlplane.client_commands.problems import Wrong

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "register",
    examples=(
        "work register --app shop --function fulfil --trigger-event shop/order.paid",
        "work register --app shop --function report --cron '0 7 * * 1' --time-zone Europe/Berlin --retries 2",
        "work register @fulfil.json",
    ),
)
@click.argument("definition", type=read_json, required=False, metavar="[JSON]")
@click.option("--app", "app_id", metavar="APP", help="The app that serves it.")
@click.option("--function", "function_id", metavar="FUNCTION", help="Its id in the app.")
@click.option(
    "--trigger-event",
    "events",
    multiple=True,
    metavar="NAME",
    help="An event that starts it; a `*` at the end matches any rest. May be given again.",
)
@click.option(
    "--if",
    "expression",
    default="",
    metavar="CEL",
    help="Only those events for which this is true: 'event.data.amount > 100'.",
)
@click.option("--cron", "crons", multiple=True, metavar="LINE", help="A schedule that starts it. May be given again.")
@click.option("--time-zone", default="", metavar="ZONE", help="Of the schedules.  [default: UTC]")
@click.option("--retries", type=click.IntRange(min=0), metavar="N", help="How often a step that failed is tried again.")
def register(
    session: Session,
    *,
    definition: object,
    app_id: str | None,
    function_id: str | None,
    events: tuple[str, ...],
    expression: str,
    crons: tuple[str, ...],
    time_zone: str,
    retries: int | None,
) -> None:
    """Register a function, or change it.

    The same again changes nothing, so a worker does it whenever it starts. JSON is a FunctionDefinition of the contract,
    for all that the options don't cover (flow control, for example): as it is, @FILE, or - for standard input. What options
    say counts before it.
    """
    from controlplane.client_commands.message_json import to_message
    from controlplane.gen.steplane.v1 import function_pb2

    if (expression and not events) or (time_zone and not crons):
        raise Wrong("--if goes with --trigger-event, and --time-zone with --cron")
    found = function_pb2.FunctionDefinition()
    if definition is not None:
        to_message(definition, found, what="a FunctionDefinition")
    found.app_id = app_id or found.app_id
    found.function_id = function_id or found.function_id
    if events or crons:
        del found.triggers[:]
    for event in events:
        found.triggers.add().event.MergeFrom(function_pb2.EventTrigger(event=event, expression=expression))
    for line in crons:
        found.triggers.add().cron.MergeFrom(function_pb2.CronTrigger(cron=line, time_zone=time_zone))
    if retries is not None:
        found.retry.retries = retries
    session.screen.registered(found, session.server.working.register(found))
