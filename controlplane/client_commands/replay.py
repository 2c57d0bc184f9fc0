"""`steplane replay`: a new run from the same events, with today's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from controlplane.client_commands.command import client_command
from controlplane.client_commands.input import json_value, step_key
from controlplane.client_commands.problems import Wrong
from controlplane.client_commands.selection import ENDED_STATES, Selection, is_one, selection_options

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session


@client_command(
    "replay",
    examples=(
        "replay 01JH3Z8V6T0000000000000000 --wait",
        "replay 01JH3Z8V6T0000000000000000 --from-step charge",
        """replay 01JH3Z8V6T0000000000000000 --from-step charge --output '{"paid": true}'""",
        "replay --function shop/checkout --state failed --since 2h --dry-run",
        "replay --function shop/checkout --since 2026-01-31T12:00 --until 2026-01-31T14:00 --yes",
    ),
)
@click.argument("run_id", metavar="[ID]", default="")
@click.option(
    "--from-step",
    default="",
    metavar="STEP",
    help="Of one run: take the steps recorded before this one from its journal, and begin here. `charge` is the first "
    "step of that id, `charge#1` the second.",
)
@click.option(
    "--output", type=json_value, metavar="JSON", help="Do not do the step of --from-step: it has this output."
)
@click.option(
    "--wait", is_flag=True, help="Of one run: follow the new one until it ends; exits with 1 unless it completes."
)
@selection_options(ENDED_STATES, default="failed")
def replay(
    session: Session,
    *,
    run_id: str,
    from_step: str,
    output: bytes | None,
    wait: bool,
    selection: Selection,
    dry_run: bool,
    yes: bool,
) -> None:
    """Replay a run, or all that match.

    A replay is a new run from the same events, with today's code; the old run stays as it is. With options instead of
    an ID, all ended runs that match all of them are replayed, oldest first: they are counted, and you are asked before
    it is done. JSON is as it is, @FILE, or - for standard input.
    """
    steering = session.server.steering
    if output is not None and not from_step:
        raise Wrong("--output is of a step", remedy="Say of which: --from-step STEP.")
    if not is_one(run_id, selection, dry_run=dry_run):
        if from_step or wait:
            raise Wrong("--from-step and --wait are for one run", remedy="Give its id, or leave them out.")
        session.give_order(
            "replay",
            "replayed",
            lambda is_dry: steering.replay_all(selection, dry_run=is_dry),
            dry_run=dry_run,
            yes=yes,
        )
        return
    run = steering.replay(run_id, step_key=step_key(from_step), output=output)
    session.screen.replayed(run)
    if wait:
        session.follow_run(run.id)
    else:
        session.screen.hint(f"How it goes: steplane run {run.id} --watch")
