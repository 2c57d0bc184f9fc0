"""Which runs an order is for: one, by its id, or all that match the options of a selection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import click

from controlplane.client_commands.input import FunctionName, moment, split_function
from controlplane.client_commands.problems import Wrong
from controlplane.client_commands.show.times import to_micros

LIVE_STATES: Final = ("queued", "running", "waiting", "set_aside")
ENDED_STATES: Final = ("completed", "failed", "cancelled", "skipped")
STATES: Final = (*LIVE_STATES, *ENDED_STATES)
_Body = TypeVar("_Body", bound=Callable[..., Any])


class Selection(NamedTuple):
    """Runs that match all of it."""

    function: FunctionName = FunctionName()
    states: tuple[str, ...] = ()
    """Their words; any if empty."""
    since: int | None = None
    """Microseconds since 1970."""
    until: int | None = None
    expression: str = ""


def selection_options(states: Sequence[str], *, default: str = "") -> Callable[[_Body], _Body]:
    """The options of a `Selection` and how to go about it: the command gets `selection`, `dry_run` and `yes`."""

    def decorate(body: _Body) -> _Body:
        @functools.wraps(body)
        def select(
            *args: Any,
            function: str,
            states: tuple[str, ...],
            since: datetime | None,
            until: datetime | None,
            expression: str,
            **options: Any,
        ) -> None:
            selection = Selection(
                split_function(function),
                states,
                to_micros(since) if since else None,
                to_micros(until) if until else None,
                expression,
            )
            body(*args, selection=selection, **options)

        command: Any = select
        for option in reversed(_options(states, default)):
            command = option(command)
        return command  # type: ignore[no-any-return]  # click's options give back what they get

    return decorate


def is_one(run_id: str, selection: Selection, *, dry_run: bool) -> bool:
    """Whether a command is for the one run that it names; raises `Wrong` unless it is that or a selection."""
    if run_id and (selection != Selection() or dry_run):
        raise Wrong("a run's id and options that select runs exclude each other", remedy="Leave out one of them.")
    if not run_id and selection == Selection():
        raise Wrong(
            "which runs?",
            remedy="Give a run's id, or select runs with --function, --state, --since, --until or --if.",
        )
    return bool(run_id)


def state_option(states: Sequence[str], *, default: str = "") -> Callable[[_Body], _Body]:
    """The option `--state`, for those of `states`."""
    by_itself = f" By itself: {default}." if default else ""
    return click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice(states, case_sensitive=False),
        metavar="STATE",
        help=f"Only in this state; may be given again. One of {', '.join(states)}.{by_itself}",
    )


def since_option() -> Callable[[_Body], _Body]:
    """The option `--since`."""
    return click.option(
        "--since", type=moment, help="Only those created since: ISO 8601, or so long ago (90s, 10m, 2h, 3d)."
    )


def until_option() -> Callable[[_Body], _Body]:
    """The option `--until`."""
    return click.option("--until", type=moment, help="Only those created before: ISO 8601, or so long ago.")


def _options(states: Sequence[str], default: str) -> list[Callable[[Any], Any]]:
    return [
        click.option("--function", default="", metavar="[APP/]FUNCTION", help="Only of this function."),
        state_option(states, default=default),
        since_option(),
        until_option(),
        click.option(
            "--if",
            "expression",
            default="",
            metavar="CEL",
            help="Only those for which this is true of the event that started them: 'event.data.user == \"u1\"'.",
        ),
        click.option("--dry-run", is_flag=True, help="Only count the runs that match, and change nothing."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask first. Needed without a terminal."),
    ]
