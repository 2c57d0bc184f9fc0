"""What a client command works with: the server that it asks, and the screen that it answers on."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

# Before gRPC is imported, which would tell each failed handshake in its own words too.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from rich.console import Console

from controlplane.client_commands.connection import Target, Tls
from controlplane.client_commands.follow import FOLLOWED_MAX, follow_run, follow_runs
from controlplane.client_commands.order import Order, give_order
from controlplane.client_commands.problems import Failed, Wrong
from controlplane.client_commands.reporting import report
from controlplane.client_commands.server import Server
from controlplane.client_commands.show.screen import Screen

if TYPE_CHECKING:
    from controlplane.client_commands.steering import Progress
    from controlplane.client_commands.work.reports import Call

SHARED_OPTIONS: Final = ("address", "namespace", "as_json", "timeout", "tls", "tls_ca", "client_cert", "client_key")
_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
_PORT_MAX: Final = 65_535


class Session(NamedTuple):
    """One command's server and screen."""

    server: Server
    screen: Screen

    def follow_event(self, event_id: str) -> None:
        """Show how the runs that an event started go, until all have ended; raises `Failed` unless all completed."""
        runs = self.server.list_runs(event_id=event_id, limit=FOLLOWED_MAX).items
        if not runs:
            raise Failed(
                "it started no run", remedy="Does any function wait for it, or collect events first? steplane functions"
            )
        follow_runs(self.server, self.screen, [run.id for run in reversed(runs)])

    def give_order(
        self, verb: str, done: str, send: Callable[[bool], Iterator[Progress]], *, dry_run: bool, yes: bool
    ) -> None:
        """Do something with all runs that match, or only count them; asks first unless `yes`."""
        give_order(self.screen, Order(verb, done, send), dry_run=dry_run, yes=yes)

    def report(self, call: Call) -> None:
        """Report to the server, and show what it answers; raises a `Problem` unless all of it is on disk."""
        report(self.server, self.screen, call)

    def follow_run(self, run_id: str) -> None:
        """Show how a run goes, with its steps, until it has ended; raises `Failed` unless it completed."""
        follow_run(self.server, self.screen, run_id)


@contextmanager
def open_session(
    *,
    address: str,
    namespace: str,
    as_json: bool | None,
    timeout: float,
    tls: bool,
    tls_ca: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
) -> Iterator[Session]:
    """The session that the shared options ask for."""
    target = Target(
        address=_address(address),
        namespace=namespace,
        timeout=timeout,
        tls=_tls(tls=tls, ca=tls_ca, cert=client_cert, key=client_key),
    )
    if as_json is None:
        as_json = not sys.stdout.isatty()
    screen = Screen(Console(highlight=False), as_json=as_json, clock=_now)
    with Server(target) as server:
        yield Session(server, screen)


def _address(text: str) -> str:
    if text.startswith("unix:"):
        return text
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= _PORT_MAX:
        raise Wrong(f"{text!r} is no address", remedy="Write HOST:PORT, for example 127.0.0.1:7100, without http://.")
    return text


def _tls(*, tls: bool, ca: Path | None, cert: Path | None, key: Path | None) -> Tls | None:
    if (cert is None) != (key is None):
        raise Wrong("--client-cert and --client-key go together")
    if not tls and ca is None and cert is None:
        return None
    return Tls(*(path.read_bytes() if path else None for path in (ca, cert, key)))


def _now() -> int:
    return time.time_ns() // 1000
