"""What the orders of the command line ask of a server, and what they say of its answers."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner, Result

from controlplane.client_commands import COMMANDS
from controlplane.gen.steplane.v1 import run_pb2
from tests.cli.scripted import Scripted

STEPLANE: Final = click.Group("steplane", commands={command.name or "": command for command in COMMANDS})
ROOT: Final = Path(__file__).parents[2]


class Shell:
    """Runs client commands against a scripted server."""

    def __init__(self, server: Scripted, address: str) -> None:
        self._server = server
        self._address = address

    @property
    def asked(self) -> list[Any]:
        """What the server was asked."""
        return self._server.asked

    def __call__(self, *arguments: str, exits: int = 0) -> Result:
        """What a command says to people; its input and output are no terminal."""
        result = CliRunner().invoke(STEPLANE, [*arguments, "--no-json", "--address", self._address])
        assert result.exit_code == exits, result.output
        return result

    def json(self, *arguments: str) -> list[Any]:
        """The objects that a command prints."""
        result = CliRunner().invoke(STEPLANE, [*arguments, "--json", "--address", self._address])
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def at_a_terminal(self, *arguments: str, answer: str) -> tuple[int, str]:
        """The exit code and the output of a command whose question is answered."""
        terminal, its_end = pty.openpty()
        try:
            os.write(terminal, f"{answer}\n".encode())
            result = subprocess.run(
                [sys.executable, "-m", "controlplane", *arguments, "--address", self._address, "--no-json"],
                cwd=ROOT,
                stdin=its_end,
                stdout=subprocess.PIPE,
                stderr=its_end,
                text=True,
                check=False,
            )
        finally:
            os.close(its_end)
            os.close(terminal)
        return result.returncode, result.stdout


@pytest.fixture
def steplane() -> Iterator[Shell]:
    """The client commands."""
    server = Scripted()
    with server as address:
        yield Shell(server, address)


def test_one_run_is_cancelled_at_once(steplane: Shell) -> None:
    """A run that is named is cancelled without being asked about."""
    assert "run R1 is ⊘ cancelled" in steplane("cancel", "R1", "--reason", "changed my mind").stdout
    (request,) = steplane.asked
    assert (request.run_id, request.reason) == ("R1", "changed my mind")


def test_runs_that_match_are_cancelled(steplane: Shell) -> None:
    """All options of a selection reach the server."""
    options = ["--function", "shop/checkout", "--state", "queued", "--state", "set_aside"]
    options += ["--since", "2026-01-01T11:00:00Z", "--until", "2026-01-01T12:00:00Z", "--if", "event.data.n > 1"]
    said = steplane("cancel", *options, "--reason", "sold out", "--yes").stdout
    assert said == "3 runs cancelled, of 20 looked at\n"
    (request,) = steplane.asked
    selection = request.selection
    assert (selection.app_id, selection.function_id) == ("shop", "checkout")
    assert selection.states == [run_pb2.RUN_STATE_QUEUED, run_pb2.RUN_STATE_SET_ASIDE]
    assert selection.create_time_min.ToJsonString() == "2026-01-01T11:00:00Z"
    assert selection.create_time_max.ToJsonString() == "2026-01-01T12:00:00Z"
    assert selection.expression == "event.data.n > 1"
    assert (request.reason, request.dry_run) == ("sold out", False)


def test_runs_that_match_can_be_counted(steplane: Shell) -> None:
    """A dry run needs no --yes."""
    assert steplane.json("cancel", "--function", "checkout", "--dry-run") == [
        {"seen": 20, "cancelled": 3, "dry_run": True}
    ]
    (request,) = steplane.asked
    assert request.dry_run
    assert not request.selection.HasField("create_time_min")


@pytest.mark.parametrize("command", ["cancel", "replay"])
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "which runs?"),
        (["R1", "--function", "a/b"], "exclude each other"),
        (["R1", "--dry-run"], "exclude each other"),
        (["--function", "a/b"], "--yes"),
        (["--state", "running-late"], "running-late"),
    ],
)
def test_orders_that_are_not_clear_are_usage_errors(
    steplane: Shell, command: str, arguments: list[str], why: str
) -> None:
    """Neither a run nor a selection, or both; or a selection that nobody could be asked about: nothing is sent."""
    assert why in steplane(command, *arguments, exits=2).stderr
    assert steplane.asked == []


@pytest.mark.parametrize(("answer", "code", "orders"), [("y", 0, [True, False]), ("n", 1, [True])])
def test_at_a_terminal_one_is_asked_first(steplane: Shell, answer: str, code: int, orders: list[bool]) -> None:
    """The runs are counted; only who says yes lets it go on."""
    exit_code, said = steplane.at_a_terminal("cancel", "--state", "queued", answer=answer)
    assert exit_code == code
    assert [request.dry_run for request in steplane.asked] == orders
    assert said == ("3 runs cancelled, of 20 looked at\n" if answer == "y" else "")


def test_a_run_is_replayed(steplane: Shell) -> None:
    """The new run is told, and which one it replays."""
    said = steplane("replay", "R1").stdout
    assert "run R2 replays R1" in said
    assert "steplane run R2 --watch" in said
    (request,) = steplane.asked
    assert (request.run_id, request.step_key, request.HasField("output")) == ("R1", "", False)


@pytest.mark.parametrize(("output", "data"), [("null", b"null"), ("[1]", b"[1]")])
def test_a_run_is_replayed_from_a_step(steplane: Shell, output: str, data: bytes) -> None:
    """The step's number may be left out; its output may be any JSON."""
    (new,) = steplane.json("replay", "R1", "--from-step", "charge", "--output", output)
    assert (new["id"], new["replay_of"]) == ("R2", "R1")
    (request,) = steplane.asked
    assert (request.step_key, request.HasField("output"), request.output.data) == ("charge#0", True, data)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["R1", "--output", "1"], "--from-step STEP"),
        (["R1", "--from-step", "a", "--output", "{"], "that is not JSON"),
        (["--state", "failed", "--yes", "--from-step", "a"], "for one run"),
        (["--state", "failed", "--yes", "--wait"], "for one run"),
        (["--state", "queued", "--yes"], "queued"),
    ],
)
def test_replays_that_are_not_clear_are_usage_errors(steplane: Shell, arguments: list[str], why: str) -> None:
    """What is of one run does not go with a selection, and what has not ended can't be replayed."""
    assert why in steplane("replay", *arguments, exits=2).stderr
    assert steplane.asked == []


def test_runs_that_match_are_replayed(steplane: Shell) -> None:
    """Without a state the server takes those that failed."""
    said = steplane("replay", "--function", "charge", "--since", "2h", "--yes").stdout
    assert said == "3 runs replayed, of 20 looked at\n"
    (request,) = steplane.asked
    assert (request.selection.function_id, list(request.selection.states)) == ("charge", [])


def test_a_run_is_released(steplane: Shell) -> None:
    """It is in the queue again."""
    assert "run R1 is ○ queued" in steplane("release", "R1").stdout
    assert steplane.json("release", "R1")[0]["state"] == "queued"


@pytest.mark.parametrize(
    ("command", "said", "state"),
    [("pause", "‖ paused", "paused"), ("resume", "● active", "active"), ("disable", "⊘ disabled", "disabled")],
)
def test_a_function_is_steered(steplane: Shell, command: str, said: str, state: str) -> None:
    """It says how the function stands now."""
    assert f"function shop/checkout is {said}" in steplane(command, "shop/checkout").stdout
    assert steplane.json(command, "checkout")[0]["state"] == state
    assert [(request.app_id, request.function_id) for request in steplane.asked] == [
        ("shop", "checkout"),
        ("", "checkout"),
    ]


def test_a_function_is_deleted(steplane: Shell) -> None:
    """It says how many runs were cancelled by that; without a terminal it needs --yes."""
    assert "--yes" in steplane("delete", "shop/checkout", exits=2).stderr
    assert steplane.asked == []
    assert "is deleted; 3 runs cancelled" in steplane("delete", "shop/checkout", "--yes").stdout


@pytest.mark.parametrize(("answer", "code", "asked"), [("y", 0, 1), ("n", 1, 0)])
def test_at_a_terminal_one_is_asked_before_a_function_is_deleted(
    steplane: Shell, answer: str, code: int, asked: int
) -> None:
    """Only who says yes lets it go on."""
    exit_code, _ = steplane.at_a_terminal("delete", "shop/checkout", answer=answer)
    assert (exit_code, len(steplane.asked)) == (code, asked)


def test_one_function_is_shown(steplane: Shell) -> None:
    """A function is found by its name; a list's filter does not go with it."""
    assert "state     ● active" in steplane("functions", "shop/checkout").stdout
    assert steplane.json("functions", "shop/checkout")[0]["function_id"] == "checkout"
    assert "APP/FUNCTION" in steplane("functions", "checkout", "--app", "shop", exits=2).stderr


def test_a_signal_is_sent(steplane: Shell) -> None:
    """It says which run got it; what is sent is null unless it is given."""
    assert steplane("signal", "ok-1").stdout == "run R1 got the signal ok-1\n"
    assert steplane.json("signal", "ok-1", "--data", '{"by": "ann"}') == [{"signal": "ok-1", "run_id": "R1"}]
    assert [request.data.data for request in steplane.asked] == [b"null", b'{"by": "ann"}']


def test_a_signal_that_nobody_waits_for_is_a_failure(steplane: Shell) -> None:
    """It was lost, and that is told: exits with 1."""
    result = steplane("signal", "nobody", exits=1)
    assert "nobody waits for it" in result.stderr
    assert "steplane runs --state waiting" in result.stderr
