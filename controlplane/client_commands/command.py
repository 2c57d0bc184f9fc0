"""What all client commands share: options for the connection and the output, help with examples, and their session.

Loads gRPC and rich when a command runs, not when it is defined.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import click

from controlplane.client_commands.problems import EXIT_CODES

if TYPE_CHECKING:
    from controlplane.client_commands.session import Session

_P = ParamSpec("_P")
_Body = TypeVar("_Body", bound=Callable[..., Any])
_PEM = click.Path(exists=True, dir_okay=False, path_type=Path)

_SHARED: Final = (
    click.Option(
        ["--address"],
        envvar="STEPLANE_ADDRESS",
        default="127.0.0.1:7100",
        show_default=True,
        show_envvar=True,
        metavar="HOST:PORT",
        help="Where the server is.",
    ),
    click.Option(
        ["--namespace"],
        envvar="STEPLANE_NAMESPACE",
        default="default",
        show_default=True,
        show_envvar=True,
        metavar="NAME",
        help="The tenant or environment.",
    ),
    click.Option(
        ["--json/--no-json", "as_json"],
        default=None,
        help="JSON, one object a line; or tables for people. JSON by itself when the output is not a terminal.",
    ),
    click.Option(
        ["--timeout"],
        type=click.FloatRange(min=0, min_open=True),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How long one call may take.",
    ),
    click.Option(["--tls"], is_flag=True, envvar="STEPLANE_TLS", show_envvar=True, help="Speak TLS to the server."),
    click.Option(
        ["--tls-ca"],
        type=_PEM,
        envvar="STEPLANE_TLS_CA",
        show_envvar=True,
        help="Trust this authority (PEM); means --tls.",
    ),
    click.Option(["--client-cert"], type=_PEM, help="Prove who you are with this certificate (PEM); means --tls."),
    click.Option(["--client-key"], type=_PEM, help="The key of --client-cert (PEM)."),
)


def client_command(
    name: str, *, examples: Sequence[str], exit_codes: str = EXIT_CODES
) -> Callable[[Callable[Concatenate[Session, _P], None]], click.Command]:
    """Make a command of a function that asks a server: it gets its session first, then its own options."""

    def decorate(body: Callable[Concatenate[Session, _P], None]) -> click.Command:
        @functools.wraps(body)
        def callback(*args: _P.args, **options: _P.kwargs) -> None:
            module = importlib.import_module("controlplane.client_commands.session")
            shared = {key: options.pop(key) for key in module.SHARED_OPTIONS}
            with module.open_session(**shared) as session:
                body(session, *args, **options)

        command = click.command(name, epilog=_epilog(examples, exit_codes))(callback)
        command.params += _SHARED
        return command

    return decorate


def limit_option(default: int, *, of: str = "to show", maximum: int = 1_000_000) -> Callable[[_Body], _Body]:
    """The option `--limit` of a list."""
    return click.option(
        "--limit",
        type=click.IntRange(1, maximum),
        metavar="N",
        default=default,
        show_default=True,
        help=f"How many {of}, at most.",
    )


def _epilog(examples: Sequence[str], exit_codes: str) -> str:
    return "\n\n".join(["\b\nExamples:\n" + "\n".join(f"  steplane {example}" for example in examples), exit_codes])
