"""`steplane send`: tell the server what happened."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import json_object, moment
from controlplane.client_commands.problems import Wrong
from controlplane.client_commands.show.times import to_micros

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "send",
    examples=(
        """send shop/order.created '{"id": 1}'""",
        """send shop/order.created @order.json --id order-1 --wait""",
        """send shop/order.created - --ts +10m < order.json""",
    ),
)
@click.argument("name")
@click.argument("data", type=json_object, default="{}", metavar="[JSON]")
@click.option("--id", "event_id", default="", metavar="ID", help="The event's id; a second one of it is not stored.")
@click.option("--ts", type=moment, help="When it happened. In the future (+10m, or ISO 8601): it is held until then.")
@click.option("--traceparent", default="", metavar="W3C", help="The trace context that it belongs to.")
@click.option(
    "--wait", is_flag=True, help="Follow the runs that it starts until they end; exits with 1 unless all complete."
)
def send(
    session: Session, *, name: str, data: bytes, event_id: str, ts: datetime | None, traceparent: str, wait: bool
) -> None:
    """Send an event.

    NAME says what happened, JSON is an object that tells more: as it is, @FILE, or - for standard input. Prints the
    event's id once the event is on disk.
    """
    at = to_micros(ts) if ts else None
    if wait and at is not None and at > session.screen.now():
        raise Wrong("--wait cannot wait for an event of the future", remedy="Leave out --wait, or --ts.")
    answer = session.server.send_event(name=name, data=data, id_=event_id, ts=at, traceparent=traceparent)
    sent_id = answer.ids[0]
    session.screen.sent(sent_id, is_duplicate=answer.duplicates > 0)
    if wait:
        session.follow_event(sent_id)
    else:
        session.screen.hint(f"What came of it: steplane lineage {sent_id}")
