"""`steplane work report`: tell what became of a step, or of a run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import duration, json_value, read_json, step_key
from controlplane.client_commands.problems import REPORT_EXIT_CODES

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "report",
    exit_codes=REPORT_EXIT_CODES,
    examples=(
        """work report --step charge --output '{"paid": true}'""",
        """work report --step announce --send-events '{"name": "shop/order.packed", "data": {"id": 17}}'""",
        """work report --step charge --attempt 1 --fail CardDeclined "no money" --park charge""",
        """work report --step nap --sleep 10m --park nap""",
        """work report --complete '{"ok": true}'""",
        """work report - <<< '{"step_key": "paid#0", "wait_started": {"events": [{"event": "shop/paid"}]}}'""",
        """work report""",
    ),
)
@click.argument("reports", type=read_json, required=False, metavar="[JSON]")
@click.option("--run", "run_id", envvar="STEPLANE_RUN", show_envvar=True, default="", metavar="ID", help="The run.")
@click.option(
    "--epoch",
    envvar="STEPLANE_EPOCH",
    show_envvar=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="The epoch that it was given with.",
)
@click.option(
    "--step",
    type=step_key,
    default="",
    metavar="STEP",
    help="The step. `charge` is the first one of that id in the run, `charge#1` the second.",
)
@click.option("--output", type=json_value, metavar="JSON", help="It returned this.")
@click.option("--text", metavar="TEXT", help="It returned this text: --output without JSON's quotes.")
@click.option(
    "--send-events",
    "events",
    type=read_json,
    metavar="JSON",
    help="It sends this event, or this list of events: recorded and sent at once, so they are sent exactly once.",
)
@click.option("--sleep", type=duration, metavar="DURATION", help="It sleeps so long.")
@click.option(
    "--fail", nargs=2, metavar="NAME MESSAGE", help="This try of it failed; without --step, the function did so."
)
@click.option(
    "--attempt", type=click.IntRange(min=1), metavar="N", help="Which try of the step it was; 1 for the first."
)
@click.option("--never", is_flag=True, help="What failed is not to be tried again.")
@click.option(
    "--retry-after", type=duration, metavar="DURATION", help="What failed is to be tried again after so long."
)
@click.option(
    "--park",
    multiple=True,
    type=step_key,
    metavar="STEP",
    help="The run can't go on until this step is over, or is to be tried again: it comes again then. May be given again.",
)
@click.option("--complete", type=json_value, metavar="JSON", help="The function returned this.")
def report(
    session: Session,
    *,
    reports: object,
    run_id: str,
    epoch: int | None,
    step: str,
    output: bytes | None,
    text: str | None,
    events: object,
    sleep: timedelta | None,
    fail: tuple[str, str] | None,
    attempt: int | None,
    never: bool,
    retry_after: timedelta | None,
    park: tuple[str, ...],
    complete: bytes | None,
) -> None:
    """Report a step, the end of a run, or both.

    When it has printed the server's answer, an `ack`, and exits with 0, that is on disk. On exit code 3 report the same
    again, until it is told something else; a report that was recorded before counts once. Without anything to report it
    only tells that the worker is alive.

    JSON is a Report of the contract or a list of them, for all that the options don't cover (waiting, invoking, signals);
    its values are written as they are. JSON is always as it is, @FILE, or - for standard input.
    """
    from controlplane.client_commands.work.reports import Options, call_of

    options = Options(
        step_key=step,
        output=output,
        text=text,
        events=events,
        sleep=sleep,
        fail=fail,
        attempt=attempt,
        never=never,
        retry_after=retry_after,
        park=park,
        complete=complete,
    )
    session.report(call_of(reports, options, run_id=run_id, epoch=epoch or 0))
