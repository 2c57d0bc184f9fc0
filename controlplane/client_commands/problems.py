"""The ways in which a client command can fail, each with its exit code. The only place that names exit codes."""

from __future__ import annotations

from typing import IO, Any

import click
from typing_extensions import override

EXIT_CODES = """\b
Exit codes:
  0  done
  1  what was asked about failed, or does not exist
  2  the command or what it was given is wrong
  3  the server cannot be reached, or cannot answer now"""


class Problem(click.ClickException):
    """What is wrong, in plain words, and what to do about it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(self.message, err=True)
        if self.remedy:
            click.echo(self.remedy, err=True)


class Failed(Problem):
    """What was asked about failed, or does not exist."""

    exit_code = 1


class Missing(Failed):
    """What was asked about does not exist."""


class Wrong(Problem):
    """The command, or what it was given, is wrong."""

    exit_code = 2


class Unreachable(Problem):
    """The server cannot be reached, or cannot answer now."""

    exit_code = 3
