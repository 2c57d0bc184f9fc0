"""The command line. `steplane serve` is the server, `steplane conformance` tries workers; the others ask a server.

What is slow to import is imported when a command runs, so that `steplane --help` stays quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from conformance.command import conformance
from controlplane import VERSION
from controlplane.client_commands import COMMANDS
from controlplane.client_commands.problems import Wrong
from controlplane.config import SETTINGS, ConfigError, Setting, load


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="steplane")
def main() -> None:
    """Steplane: durable functions started by events, over gRPC.

    `steplane serve` starts a server; the other commands talk to one.
    """


def _serve(*, print_config: bool, **flags: Any) -> None:
    """Start a server, and run it until SIGTERM or SIGINT.

    Every setting can be given as a flag, as STEPLANE_NAME in the environment, or in the file that --config names; the
    first of these counts. At the first signal the server lets workers finish, within --drain-timeout; at the second it
    stops at once.
    """
    try:
        loaded = load(flags, os.environ)
    except ConfigError as error:
        raise Wrong(str(error), remedy="`steplane serve --help` lists all settings.") from None
    if print_config:
        click.echo(loaded.toml(), nl=False)
        return
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's core would write lines of its own between those of the log
    from controlplane import app

    sys.exit(app.serve(loaded.config))


def _options() -> Iterator[click.Option]:
    yield click.Option(["--config"], metavar="PATH", help="A TOML file with settings.  [env var: STEPLANE_CONFIG]")
    yield click.Option(["--print-config"], is_flag=True, help="Show the settings in force as TOML, and exit.")
    yield from map(_option, SETTINGS)


def _option(setting: Setting) -> click.Option:
    """The flag of a setting. Its text is read by `config`, so that all problems are told at once."""
    told = f"{setting.doc}  [default: {setting.show(setting.default)}]" if setting.default is not None else setting.doc
    if isinstance(setting.default, bool):
        return click.Option([f"{setting.flag}/--no-{setting.flag[2:]}"], default=None, help=told)
    return click.Option([setting.flag], metavar=setting.kind.name, help=told)


_EPILOG = """\b
Examples:
  steplane serve
  steplane serve --db /var/lib/steplane/steplane.db --listen 127.0.0.1:0 --ready-file /run/steplane.ready
  STEPLANE_RETENTION=30d steplane serve --config steplane.toml --print-config

\b
Exit codes:
  0  stopped as told
  1  the server could not start, or its store failed
  2  the settings are wrong
"""

main.add_command(click.Command("serve", params=list(_options()), callback=_serve, help=_serve.__doc__, epilog=_EPILOG))
for _command in (*COMMANDS, conformance):
    main.add_command(_command)
