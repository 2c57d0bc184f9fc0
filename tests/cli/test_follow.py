"""Following runs until they end, on a terminal and beside one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from io import StringIO
from typing import cast

import pytest
from rich.console import Console

from controlplane.client_commands.connection import Listed
from controlplane.client_commands.follow import follow_run, follow_runs
from controlplane.client_commands.problems import Failed, Unreachable
from controlplane.client_commands.server import Server
from controlplane.client_commands.show.screen import Screen
from controlplane.gen.steplane.v1 import run_pb2
from tests.cli.messages import SECOND, START, run, step

RUNNING, COMPLETED, FAILED = run_pb2.RUN_STATE_RUNNING, run_pb2.RUN_STATE_COMPLETED, run_pb2.RUN_STATE_FAILED


class Story:
    """A server that tells how each run goes; a story that ends with `None` breaks off."""

    def __init__(self, **states: list[run_pb2.RunState | None]) -> None:
        self._states = states

    def watch(self, run_id: str) -> Iterator[run_pb2.Run]:
        """Tell how a run goes."""
        for state in self._states[run_id]:
            if state is None:
                raise Unreachable("gone")
            took = 2.0 if state != RUNNING else None
            yield run(run_id, "mail/send", state, event_id="E1", took=took, steps=1)

    def journal(self, run_id: str, limit: int) -> Listed[run_pb2.JournalEntry]:
        """Tell what it did."""
        return Listed([step("load#0")], has_more=False)


class Stage:
    """A screen that keeps what it shows."""

    def __init__(self, *, as_json: bool = False, is_terminal: bool = False) -> None:
        self._file = StringIO()
        console = Console(file=self._file, width=100, force_terminal=is_terminal, color_system=None, highlight=False)
        self.screen = Screen(console, as_json=as_json, clock=lambda: START + 5 * SECOND, zone=UTC)

    @property
    def lines(self) -> list[str]:
        """What it showed, without what moved the cursor."""
        return re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "", self._file.getvalue()).splitlines()


def server(**states: list[run_pb2.RunState | None]) -> Server:
    """A server that tells stories, where the real one is expected."""
    return cast("Server", Story(**states))


def test_runs_that_complete_are_done() -> None:
    """Each run is told when it has ended; nothing is raised if all completed."""
    stage = Stage(as_json=True)
    follow_runs(server(R1=[RUNNING, COMPLETED], R2=[COMPLETED]), stage.screen, ["R1", "R2"])
    assert len(stage.lines) == 2


def test_one_run_that_fails_is_named() -> None:
    """The problem says which run, and how to look at it."""
    with pytest.raises(Failed, match="run R2 failed") as caught:
        follow_runs(server(R1=[COMPLETED], R2=[FAILED]), Stage(as_json=True).screen, ["R1", "R2"])
    assert "steplane run R2" in caught.value.remedy


def test_several_runs_that_fail_are_counted() -> None:
    """The problem says how many of them."""
    story = server(R1=[FAILED], R2=[COMPLETED], R3=[run_pb2.RUN_STATE_CANCELLED])
    with pytest.raises(Failed, match="2 runs of 3 did not complete"):
        follow_runs(story, Stage(as_json=True).screen, ["R1", "R2", "R3"])


def test_a_lost_server_ends_it() -> None:
    """If the connection breaks the problem is that, not the run."""
    with pytest.raises(Unreachable):
        follow_runs(server(R1=[RUNNING, None]), Stage().screen, ["R1"])


def test_without_a_terminal_each_state_is_a_line() -> None:
    """Lines are never overwritten where they can't be; the last one tells the end."""
    stage = Stage()
    follow_runs(server(R1=[RUNNING, COMPLETED]), stage.screen, ["R1"])
    assert stage.lines[-1] == "✔ mail/send  R1  completed in 2.0 s"


def test_on_a_terminal_the_end_stays() -> None:
    """What was shown while waiting is overwritten; each run's end is left on the screen."""
    stage = Stage(is_terminal=True)
    follow_runs(server(R1=[RUNNING, COMPLETED], R2=[COMPLETED]), stage.screen, ["R1", "R2"])
    assert stage.lines[-2:] == ["✔ mail/send  R1  completed in 2.0 s", "✔ mail/send  R2  completed in 2.0 s"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_one_run_is_followed_with_its_steps(is_terminal: bool) -> None:
    """In the end the run is shown as `steplane run` would."""
    stage = Stage(is_terminal=is_terminal)
    follow_run(server(R1=[RUNNING, COMPLETED]), stage.screen, "R1")
    shown = "\n".join(stage.lines)
    assert "state     ✔ completed in 2.0 s" in shown
    assert "✔  load" in shown
