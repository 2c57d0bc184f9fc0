"""The command line. `steplane serve` is the server; every other command asks one over gRPC (`client_commands`).

What is slow to import is imported when a command runs, so that `steplane --help` stays quick.
"""

from __future__ import annotations

import click

from controlplane import VERSION
from controlplane.client_commands import COMMANDS


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="steplane")
def main() -> None:
    """Steplane: durable functions started by events, over gRPC.

    `steplane serve` starts a server; the other commands talk to one.
    """


for _command in COMMANDS:
    main.add_command(_command)
