"""The orders of the command line against a real server with a real stream of work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from controlplane.client_commands.connection import Target
from controlplane.client_commands.server import Server as Client
from controlplane.config import Address, Config
from controlplane.gen.steplane.v1 import run_pb2, work_pb2
from tests.cli.place import Server, Shell
from tests.cli.worker import Worker, raised, returned, step, waits_for_signal

COMPLETED = run_pb2.RUN_STATE_COMPLETED


@pytest.fixture
def steplane(tmp_path: Path) -> Iterator[Shell]:
    """The client commands, and a server of their own."""
    config = Config(db=tmp_path / "steplane.db", listen=Address("127.0.0.1", 0), synchronous="normal")
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with Server(config) as address:
        yield Shell(address)
    structlog.reset_defaults()


def started(steplane: Shell, function: str, data: str = "{}") -> str:
    """The id of a run that was started by hand."""
    run_id: str = steplane.json("trigger", function, data)[0]["run_id"]
    return run_id


def reaches(steplane: Shell, run_id: str, state: run_pb2.RunState) -> None:
    """Wait until a run stands so."""
    with Client(Target(address=steplane.address, namespace="default", timeout=10)) as client:
        assert any(run.state == state for run in client.watch(run_id))


def leave_behind(steplane: Shell) -> None:
    """Register a function whose worker then goes."""
    with Worker(steplane.address, "idle", {"wait": ("idle/wait", list)}):
        pass


def test_a_run_without_a_worker_says_so(steplane: Shell) -> None:
    """It waits for a worker, and since when."""
    leave_behind(steplane)
    run_id = started(steplane, "idle/wait")
    assert steplane.json("run", run_id)[0]["need"] == "worker"
    assert "queued, waits for a worker, for" in steplane("run", run_id, "--no-json").stdout


def test_runs_that_match_an_expression_are_cancelled(steplane: Shell) -> None:
    """A dry run counts them; the order cancels them, and no others."""
    leave_behind(steplane)
    kept, gone = started(steplane, "idle/wait", '{"n": 1}'), started(steplane, "idle/wait", '{"n": 2}')
    chosen = ["cancel", "--function", "idle/wait", "--state", "queued", "--if", "event.data.n == 2"]
    assert steplane.json(*chosen, "--dry-run")[-1]["cancelled"] == 1
    assert [run["state"] for run in steplane.json("runs")] == ["queued", "queued"]
    assert steplane.json(*chosen, "--reason", "sold out", "--yes")[-1]["cancelled"] == 1
    assert steplane.json("run", kept)[0]["state"] == "queued"
    (shown,) = steplane.json("run", gone)
    assert (shown["state"], shown["failure"]["reason"]) == ("cancelled", "CANCELLED")
    assert "sold out" in shown["failure"]["message"]


def test_an_expression_that_does_not_compile_is_a_usage_error(steplane: Shell) -> None:
    """The server says what is wrong with it."""
    result = steplane("cancel", "--if", "event.data.n ==", "--yes", exits=2)
    assert "expression" in result.stderr


def test_runs_that_failed_are_replayed(steplane: Shell) -> None:
    """Once the code is mended, all that failed are run again, and complete; the old runs stay as they are."""
    is_mended = False

    def pay() -> list[work_pb2.Report]:
        return [step("load#0", b"1"), returned(b"2") if is_mended else raised("no such card")]

    with Worker(steplane.address, "shop", {"pay": ("shop/pay", pay)}):
        for _ in range(2):
            steplane("trigger", "shop/pay", "--wait", exits=1)
        is_mended = True
        chosen = ["replay", "--function", "pay", "--state", "failed"]
        assert steplane.json(*chosen, "--dry-run")[-1]["replayed"] == 2
        assert steplane.json(*chosen, "--yes")[-1]["replayed"] == 2
        runs = steplane.json("runs", "--function", "shop/pay")
        failed = {run["id"] for run in runs if run["replay_of"] is None}
        assert {run["replay_of"] for run in runs} == {None, *failed}
        for run in runs:
            reaches(steplane, run["id"], run_pb2.RUN_STATE_FAILED if run["id"] in failed else COMPLETED)


def test_a_run_is_replayed_from_a_step(steplane: Shell) -> None:
    """The step's output is the one given, and it is not done again."""
    with Worker(steplane.address, "shop", {"pay": ("shop/pay", lambda: [step("load#0", b"1"), returned(b"2")])}):
        run_id = started(steplane, "shop/pay")
        reaches(steplane, run_id, COMPLETED)
        new, *_, last = steplane.json("replay", run_id, "--from-step", "load", "--output", "7", "--wait")
        assert (new["replay_of"], last["state"]) == (run_id, "completed")
        assert [entry["output"] for entry in last["steps"]] == [7]
        assert "no-such-step" in steplane("replay", run_id, "--from-step", "no-such-step", exits=1).stderr


def test_a_run_that_is_not_set_aside_is_not_released(steplane: Shell) -> None:
    """That is a failure, which says so."""
    leave_behind(steplane)
    run_id = started(steplane, "idle/wait")
    assert "set aside" in steplane("release", run_id, exits=1).stderr


def test_a_paused_function_goes_on_where_it_was(steplane: Shell) -> None:
    """Its run waits until the function is resumed, and then completes."""
    with Worker(steplane.address, "shop", {"pay": ("shop/pay", lambda: [returned(b"1")])}):
        steplane("pause", "shop/pay")
        run_id = started(steplane, "shop/pay")
        assert "its function is paused" in steplane("run", run_id, "--no-json").stdout
        assert steplane.json("functions", "pay")[0]["state"] == "paused"
        assert steplane.json("resume", "shop/pay")[0]["state"] == "active"
        reaches(steplane, run_id, COMPLETED)


def test_a_disabled_function_is_not_started(steplane: Shell) -> None:
    """Its event starts no run."""
    with Worker(steplane.address, "shop", {"pay": ("shop/pay", lambda: [returned(b"1")])}):
        steplane("disable", "shop/pay")
        steplane("send", "shop/pay")
        assert steplane.json("runs") == []
        assert "disabled" in steplane("functions", "--no-json").stdout


def test_a_deleted_function_takes_its_runs_along(steplane: Shell) -> None:
    """Only one that no worker serves can be deleted; its runs are cancelled, and counted."""
    with Worker(steplane.address, "shop", {"pay": ("shop/pay", lambda: [returned(b"1")])}):
        assert steplane("delete", "shop/pay", "--yes", exits=1).stderr
    leave_behind(steplane)
    run_id = started(steplane, "idle/wait")
    assert steplane.json("delete", "idle/wait", "--yes") == [{"function": "idle/wait", "runs_cancelled": 1}]
    assert steplane.json("run", run_id)[0]["state"] == "cancelled"
    assert steplane.json("functions", "--app", "idle") == []


def test_a_signal_wakes_the_run_that_waits_for_it(steplane: Shell) -> None:
    """It says which run got it; once more nobody waits for it."""
    story = iter([waits_for_signal("ok#0", "ok-1"), [returned(b"1")]])
    with Worker(steplane.address, "shop", {"confirm": ("shop/confirm", lambda: next(story))}):
        run_id = started(steplane, "shop/confirm")
        reaches(steplane, run_id, run_pb2.RUN_STATE_WAITING)
        assert "wait for signal ok-1" in steplane("run", run_id, "--no-json").stdout
        assert steplane.json("signal", "ok-1", "--data", "5") == [{"signal": "ok-1", "run_id": run_id}]
        reaches(steplane, run_id, COMPLETED)
        assert steplane.json("run", run_id)[0]["steps"][0]["output"] == 5
        assert "nobody waits for it" in steplane("signal", "ok-1", exits=1).stderr
