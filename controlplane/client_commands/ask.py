"""Asks before something is done that can't be undone."""

from __future__ import annotations

import sys

import click

from controlplane.client_commands.problems import Wrong


def need_terminal() -> None:
    """Raise `Wrong` unless there is somebody to ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Wrong("this asks first, and there is no terminal to ask on", remedy="Add --yes to do it without asking.")


def ask(question: str) -> None:
    """Go on if the answer is yes; else the command ends. Asks beside the output, which may go to a program."""
    need_terminal()
    click.confirm(question, abort=True, err=True)
