"""`steplane conformance`: play the cases against a worker. What is slow to import is imported when the command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from controlplane.client_commands.problems import EXIT_CODES, Failed, Wrong

if TYPE_CHECKING:
    from conformance.case import Case

_EPILOG = f"""\b
Examples:
  steplane conformance --list
  steplane conformance --worker 'python sdk_py/conformance/worker.py'
  steplane conformance --worker ./my-worker --case one-step --case 06-parallel

{EXIT_CODES}
"""


@click.command("conformance", epilog=_EPILOG)
@click.option("--worker", metavar="COMMAND", help="What starts the worker under test.")
@click.option("--case", "chosen", multiple=True, metavar="NAME", help="Only this case, or subject; again for more.")
@click.option("--list", "is_list", is_flag=True, help="Show what each case proves, and play none.")
@click.option(
    "--json/--no-json",
    "as_json",
    default=None,
    help="JSON, one object a line; or a table. JSON by itself when the output is not a terminal.",
)
def conformance(worker: str | None, chosen: Sequence[str], *, is_list: bool, as_json: bool | None) -> None:
    """Try whether a worker keeps the rules that every SDK has to keep.

    Starts a server and the worker under test, with a relay between them that watches every frame and lets connections
    break, acks come late or twice, and processes die. The worker registers and serves the functions of the JSON file
    that STEPLANE_SCRIPTS names, at STEPLANE_ADDRESS, until SIGTERM; conformance/README.md has the language of these
    functions, and docs/write-an-sdk.md the rules.
    """
    from conformance import show
    from conformance.case import exclusions, load

    cases = _chosen([case for case in load() if case.name not in exclusions()], chosen)
    if as_json is None:
        as_json = not sys.stdout.isatty()
    if is_list:
        show.cases(cases, as_json=as_json)
    elif worker is None:
        raise Wrong("no worker to try", remedy="--worker 'COMMAND' says how to start it; --list shows the cases.")
    elif failed := show.play(worker, cases, as_json=as_json):
        raise Failed(
            f"{failed} of {len(cases)} cases failed",
            remedy="To play one again: steplane conformance --worker … --case NAME",
        )


def _chosen(cases: Sequence[Case], names: Sequence[str]) -> Sequence[Case]:
    unknown = set(names) - {case.name for case in cases} - {case.subject for case in cases}
    if unknown:
        raise Wrong(
            f"no case is called {', '.join(sorted(unknown))}", remedy="steplane conformance --list has them all."
        )
    return [case for case in cases if not names or case.name in names or case.subject in names]
