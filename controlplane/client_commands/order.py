"""Gives an order to all runs that match: counts them, asks, and shows how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from rich.live import Live
from rich.text import Text

from controlplane.client_commands.ask import ask, need_terminal
from controlplane.client_commands.show.words import count
from controlplane.client_commands.steering import Progress

if TYPE_CHECKING:
    from controlplane.client_commands.show.screen import Screen


class Order(NamedTuple):
    """What is to be done with each run."""

    verb: str
    done: str
    """The verb's participle."""
    send: Callable[[bool], Iterator[Progress]]
    """Sends the order, which tells how far it is; its argument tells whether runs are only to be counted."""


def give_order(screen: Screen, order: Order, *, dry_run: bool, yes: bool) -> None:
    """Do it, or only count with `dry_run`. Without `yes` the runs are counted, and whoever is there is asked, before."""
    if not (dry_run or yes):
        need_terminal()
        found = Progress(0, 0)
        for progress in _shown(screen, order.send(True), "match"):
            found = progress
        if not found.done:
            screen.ordered(found, order.done, dry_run=False)
            return
        ask(f"{order.verb.capitalize()} {count(found.done, 'run')}?")
    _follow(screen, order, dry_run=dry_run)


def _follow(screen: Screen, order: Order, *, dry_run: bool) -> None:
    """Whatever ends it, what was done until then is told."""
    latest, is_whole = Progress(0, 0), False
    try:
        for progress in _shown(screen, order.send(dry_run), "match" if dry_run else order.done):
            latest = progress
        is_whole = True
    finally:
        if is_whole or latest.done:
            screen.ordered(latest, order.done, dry_run=dry_run)


def _shown(screen: Screen, progress: Iterator[Progress], word: str) -> Iterator[Progress]:
    """Give each on, and show the newest while it is awaited."""
    if screen.as_json or not screen.console.is_terminal:
        yield from progress
        return
    latest = Progress(0, 0)

    def live_view() -> Text:
        return Text(f"{count(latest.done, 'run')} {word}, of {latest.seen:,} looked at so far …", "dim")

    with Live(console=screen.console, get_renderable=live_view, transient=True):
        for latest in progress:
            yield latest
