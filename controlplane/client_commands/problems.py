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


REPORT_EXIT_CODES = """\b
Exit codes:
  0  it is on disk, now or since an earlier report
  1  the run is not yours any more (it was cancelled, or given to another worker): stop working on it
  2  the command or what it was given is wrong, or the server rejects the report for good
  3  the server cannot be reached, or cannot answer now: report it again"""


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
