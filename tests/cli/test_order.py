"""Orders to all runs that match: counted first, asked about, and followed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from controlplane.client_commands.order import Order, give_order
from controlplane.client_commands.problems import Unreachable, Wrong
from controlplane.client_commands.show.screen import Screen
from controlplane.client_commands.steering import Progress


class Stage:
    """A screen that keeps what it shows, and a server that keeps what it was told."""

    def __init__(self, *progress: Progress | None, as_json: bool = False, is_terminal: bool = False) -> None:
        self.sent: list[bool] = []
        """Of each order, whether it was only to count."""
        self._progress = progress
        self._file = StringIO()
        console = Console(file=self._file, width=100, force_terminal=is_terminal, color_system=None, highlight=False)
        self.screen = Screen(console, as_json=as_json, clock=lambda: 0)

    def give(self, *, dry_run: bool = False, yes: bool = False) -> None:
        """Order to cancel. A story that ends with `None` breaks off."""
        give_order(self.screen, Order("cancel", "cancelled", self._send), dry_run=dry_run, yes=yes)

    @property
    def lines(self) -> list[str]:
        """What it showed, without what moved the cursor."""
        return re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "", self._file.getvalue()).splitlines()

    def _send(self, is_dry: bool) -> Iterator[Progress]:
        self.sent.append(is_dry)
        for progress in self._progress:
            if progress is None:
                raise Unreachable("gone")
            yield progress


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_was_done_is_told(is_terminal: bool) -> None:
    """In the end it says how many runs there were, and how many of them matched."""
    stage = Stage(Progress(1_000, 1), Progress(1_200, 3), is_terminal=is_terminal)
    stage.give(yes=True)
    assert stage.sent == [False]
    assert stage.lines[-1] == "3 runs cancelled, of 1,200 looked at"


def test_a_program_gets_one_object() -> None:
    """JSON has the end only."""
    stage = Stage(Progress(1_000, 1), Progress(1_200, 3), as_json=True)
    stage.give(yes=True)
    assert [json.loads(line) for line in stage.lines] == [{"seen": 1200, "cancelled": 3, "dry_run": False}]


def test_a_dry_run_only_counts() -> None:
    """Nobody is asked, and it says what would be done."""
    stage = Stage(Progress(12, 3))
    stage.give(dry_run=True)
    assert stage.sent == [True]
    assert stage.lines == ["3 runs would be cancelled, of 12 looked at"]


def test_nothing_that_matches_is_told() -> None:
    """If no run matches it says so."""
    stage = Stage(Progress(12, 0))
    stage.give(yes=True)
    assert stage.lines == ["no run matches, of 12 looked at"]


def test_without_a_terminal_nobody_can_be_asked() -> None:
    """Nothing is sent then, not even to count, and the remedy is named."""
    stage = Stage(Progress(12, 3))
    with pytest.raises(Wrong) as caught:
        stage.give()
    assert "--yes" in caught.value.remedy
    assert stage.sent == []


def test_what_breaks_off_tells_how_far_it_came() -> None:
    """What was done is not undone by a lost connection, so it is told."""
    stage = Stage(Progress(12, 3), None)
    with pytest.raises(Unreachable):
        stage.give(yes=True)
    assert stage.lines == ["3 runs cancelled, of 12 looked at"]
