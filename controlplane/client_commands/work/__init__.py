"""`steplane work`: the commands that make a worker of any program that can run a command."""

from __future__ import annotations

import click

from controlplane.client_commands.work.poll import poll
from controlplane.client_commands.work.register import register
from controlplane.client_commands.work.report import report

_HELP = """Be a worker without an SDK.

A worker registers its function once. Then, for ever: it polls for a run, does what the run's journal does not have yet,
and reports each step. examples/bash_worker is one.
"""

work = click.Group("work", help=_HELP, commands={each.name or "": each for each in (register, poll, report)})
