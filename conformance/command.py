"""`steplane conformance`: play the cases against a worker. What is slow to import is imported when the command runs."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
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
  steplane conformance --worker ./my-worker --case cut-before-an-ack --keep /tmp/cut

{EXIT_CODES}
"""


@click.command("conformance", epilog=_EPILOG)
@click.option("--worker", metavar="COMMAND", help="What starts the worker under test.")
@click.option("--case", "chosen", multiple=True, metavar="NAME", help="Only this case, or subject; again for more.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the logs of servers and workers, their scripts, and all frames as text, in a new folder.",
)
@click.option("--list", "is_list", is_flag=True, help="Show what each case proves, and play none.")
@click.option(
    "--json/--no-json",
    "as_json",
    default=None,
    help="JSON, one object a line; or a table. JSON by itself when the output is not a terminal.",
)
def conformance(
    worker: str | None, chosen: Sequence[str], keep: Path | None, *, is_list: bool, as_json: bool | None
) -> None:
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
    else:
        _check(worker)
        with _folder(keep) as folder:
            failed = show.play(worker, cases, folder, as_json=as_json)
        if failed:
            raise Failed(
                f"{failed} of {len(cases)} cases failed",
                remedy=f"The logs and frames are in {keep}."
                if keep is not None
                else "To look closer: steplane conformance --worker … --case NAME --keep DIR",
            )


def _check(worker: str) -> None:
    try:
        words = shlex.split(worker)
    except ValueError as error:
        raise Wrong(
            f"the command of the worker can't be read: {error}", remedy="It is split as a shell does."
        ) from None
    if not words or shutil.which(words[0]) is None:
        raise Wrong(
            f"there is no program {words[0] if words else ''!r} to start the worker with",
            remedy="--worker is a command, for example --worker 'python my_worker.py'; a shell's syntax needs sh -c '…'.",
        )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="steplane-conformance-") as name:
            yield Path(name)
        return
    if keep.exists() and any(keep.iterdir()):
        raise Wrong(f"{keep} is not empty", remedy="--keep makes a new folder, so that nothing old is taken for new.")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _chosen(cases: Sequence[Case], names: Sequence[str]) -> Sequence[Case]:
    unknown = set(names) - {case.name for case in cases} - {case.subject for case in cases}
    if unknown:
        raise Wrong(
            f"no case is called {', '.join(sorted(unknown))}", remedy="steplane conformance --list has them all."
        )
    return [case for case in cases if not names or case.name in names or case.subject in names]
