"""Follow runs until they have ended, showing how they stand while it lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

from rich.console import Group
from rich.live import Live
from rich.text import Text

from controlplane.client_commands.problems import Failed, Problem
from controlplane.client_commands.show import run_page
from controlplane.client_commands.show.words import ENDED, count, run_look
from controlplane.gen.steplane.v1 import run_pb2

if TYPE_CHECKING:
    from rich.console import RenderableType

    from controlplane.client_commands.server import Server
    from controlplane.client_commands.show.screen import Screen

FOLLOWED_MAX: Final = 100
_STEPS_SHOWN: Final = 1_000
_Item = TypeVar("_Item")


def follow_runs(server: Server, screen: Screen, run_ids: Sequence[str]) -> None:
    """Show how the runs go until all have ended; raises `Failed` unless all completed."""
    latest: dict[str, run_pb2.Run] = {}

    def live_view() -> RenderableType:
        pen = screen.pen()
        return Group(*(run_page.progress_line(latest[run_id], pen) for run_id in run_ids if run_id in latest))

    changes = _changes(server, run_ids)
    if screen.console.is_terminal and not screen.as_json:
        with Live(console=screen.console, get_renderable=live_view, transient=True):
            for run in changes:
                latest[run.id] = run
        screen.console.print(live_view())
    else:
        for run in changes:
            before = latest.get(run.id)
            latest[run.id] = run
            if run.state in ENDED or (not screen.as_json and (before is None or before.state != run.state)):
                screen.progress(run)
    _judge([latest[run_id] for run_id in run_ids])


def follow_run(server: Server, screen: Screen, run_id: str) -> None:
    """Show one run with its steps, again at each change, until it has ended; raises `Failed` unless it completed."""
    run, steps = run_pb2.Run(), list[run_pb2.JournalEntry]()

    def live_view() -> RenderableType:
        return run_page.run_page(run, steps, screen.pen()) if run.id else Text("")

    is_live = screen.console.is_terminal and not screen.as_json
    with Live(console=screen.console, get_renderable=live_view, transient=True) if is_live else nullcontext():
        for change in _changes(server, [run_id]):
            run, steps = change, server.journal(run_id, _STEPS_SHOWN).items
            if screen.as_json:
                screen.run(run, steps)
            elif not is_live:
                screen.progress(run)
    if not screen.as_json:
        screen.run(run, steps)
    _judge([run])


def _changes(server: Server, run_ids: Sequence[str]) -> Iterator[run_pb2.Run]:
    """Each of the runs as it is now, and again when it has changed, until all have ended.

    Who takes them slowly gets the newest of each only.
    """
    changes: SimpleQueue[run_pb2.Run | Problem | None] = SimpleQueue()

    def watch(run_id: str) -> None:
        try:
            for run in server.watch(run_id):
                changes.put(run)
            changes.put(None)
        except Problem as problem:
            changes.put(problem)

    for run_id in run_ids:
        threading.Thread(target=watch, args=(run_id,), daemon=True).start()
    watching = len(run_ids)
    while watching:
        newest: dict[str, run_pb2.Run] = {}
        for change in _take_all(changes):
            if isinstance(change, Problem):
                raise change
            if change is None:
                watching -= 1
            else:
                newest[change.id] = change
        yield from newest.values()


def _take_all(queue: SimpleQueue[_Item]) -> Iterator[_Item]:
    yield queue.get()
    with suppress(Empty):
        while True:
            yield queue.get_nowait()


def _judge(runs: Sequence[run_pb2.Run]) -> None:
    bad = [run for run in runs if run.state != run_pb2.RUN_STATE_COMPLETED]
    if len(bad) == 1:
        raise Failed(f"run {bad[0].id} {_verb(bad[0])}", remedy=f"Look at it: steplane run {bad[0].id}")
    if bad:
        raise Failed(f"{count(len(bad), 'run')} of {len(runs)} did not complete")


def _verb(run: run_pb2.Run) -> str:
    word = run_look(run.state).word
    return word if run.state == run_pb2.RUN_STATE_FAILED else f"is {word}" if run.state not in ENDED else f"was {word}"
