"""The client commands against a real server with a real stream of work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from controlplane.client_commands import COMMANDS
from controlplane.config import Address, Config
from tests.cli.place import Server, Shell
from tests.cli.worker import Behaviour, Worker, raised, returned, sent, step

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server, and a worker of an app with two functions."""
    db = tmp_path_factory.mktemp("db") / "steplane.db"
    functions: dict[str, tuple[str, Behaviour]] = {
        "checkout": (
            "shop/order.created",
            lambda: [
                step("charge#0", b'{"paid": true}'),
                sent("notify#0", "shop/order.paid"),
                returned(b'{"ok": true}'),
            ],
        ),
        "receipt": ("shop/order.paid", lambda: [step("load#0", b"1"), raised("no such address")]),
    }
    config = Config(db=db, listen=Address("127.0.0.1", 0), synchronous="normal")
    # The server shares this process, but its log is no part of what commands print.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with Server(config) as found, Worker(found, "shop", functions):
        yield found
    structlog.reset_defaults()


@pytest.fixture
def steplane(address: str) -> Shell:
    """The client commands."""
    return Shell(address)


def test_send_prints_the_id(steplane: Shell) -> None:
    """An event's id is the one it was given, and a second one of it is told as a duplicate."""
    assert steplane.json("send", "nobody/cares", '{"n": 1}', "--id", "n-1") == [{"event_id": "n-1", "duplicate": False}]
    assert steplane.json("send", "nobody/cares", '{"n": 2}', "--id", "n-1") == [{"event_id": "n-1", "duplicate": True}]
    (event,) = steplane.json("events", "--id", "n-1")
    assert event["data"] == {"n": 1}


def test_send_and_wait(steplane: Shell) -> None:
    """With --wait the runs that it started are followed to their end."""
    sent_event, run = steplane.json("send", "shop/order.created", "--wait")
    assert run["event_id"] == sent_event["event_id"]
    assert (run["app_id"], run["function_id"], run["state"]) == ("shop", "checkout", "completed")
    assert run["output"] == {"ok": True}


def test_send_and_wait_for_a_failure(steplane: Shell) -> None:
    """If a run fails the command fails, and says which one."""
    result = steplane("send", "shop/order.paid", "--wait", exits=1)
    run = json.loads(result.stdout.splitlines()[-1])
    assert run["failure"]["message"] == "no such address"
    assert f"run {run['id']} failed" in result.stderr


def test_send_and_wait_for_nothing(steplane: Shell) -> None:
    """If it started no run there is nothing to wait for: exits with 1."""
    result = steplane("send", "nobody/cares", "--wait", exits=1)
    assert "it started no run" in result.stderr


def test_send_into_the_future_and_wait(steplane: Shell) -> None:
    """What is held back can't be waited for: a usage error, and nothing is sent."""
    result = steplane("send", "shop/order.created", "--id", "late-1", "--ts", "+10m", "--wait", exits=2)
    assert "of the future" in result.stderr
    assert steplane.json("events", "--id", "late-1") == []


def test_a_refused_event_lists_its_fields(steplane: Shell) -> None:
    """What the server refuses is a usage error, field by field."""
    result = steplane("send", "steplane/mine", "--traceparent", "x", exits=2)
    assert "events[0].name" in result.stderr
    assert "events[0].traceparent" in result.stderr


def test_trigger_a_function(steplane: Shell) -> None:
    """A function is started at once, by its id alone, and followed."""
    started, *changes = steplane.json("trigger", "checkout", '{"n": 1}', "--wait")
    assert changes[-1]["id"] == started["run_id"]
    assert changes[-1]["state"] == "completed"
    assert [entry["step_key"] for entry in changes[-1]["steps"]] == ["charge#0", "notify#0"]


def test_trigger_what_is_not_there(steplane: Shell) -> None:
    """An unknown function is told as that: exits with 1."""
    assert "nothing" in steplane("trigger", "shop/nothing", exits=1).stderr


def test_runs_are_listed_by_filters(steplane: Shell) -> None:
    """Runs of an event, of a function, in a state, of late."""
    (order, run) = steplane.json("send", "shop/order.created", "--wait")
    assert [r["id"] for r in steplane.json("runs", "--event", order["event_id"])] == [run["id"]]
    assert run["id"] in [r["id"] for r in steplane.json("runs", "--function", "shop/checkout", "--state", "completed")]
    assert run["id"] not in [r["id"] for r in steplane.json("runs", "--state", "queued", "--state", "waiting")]
    assert run["id"] in [r["id"] for r in steplane.json("runs", "--since", "1h")]
    assert steplane.json("runs", "--since", "2999-01-01") == []
    assert len(steplane.json("runs", "--limit", "1")) == 1
    assert steplane.json("runs", "--namespace", "other") == []


def test_a_run_is_shown(steplane: Shell) -> None:
    """One run with its steps, as JSON and for people."""
    _, run = steplane.json("send", "shop/order.created", "--wait")
    (shown,) = steplane.json("run", run["id"])
    assert shown["state"] == "completed"
    assert [entry["output"] for entry in shown["steps"]] == [{"paid": True}, None]
    text = steplane("run", run["id"], "--no-json").stdout
    assert "✔ completed in" in text
    assert "charge" in text
    assert '"ok": true' in text


def test_a_run_that_is_not_there(steplane: Shell) -> None:
    """An unknown run is told as that: exits with 1."""
    assert "there is no run 'R0'" in steplane("run", "R0", exits=1).stderr
    assert "there is no run 'R0'" in steplane("run", "R0", "--watch", exits=1).stderr
    assert "there is no run 'R0'" in steplane("cancel", "R0", exits=1).stderr


def test_a_lineage_is_shown(steplane: Shell) -> None:
    """All that came of an event: as flat JSON, and as a tree."""
    order, _ = steplane.json("send", "shop/order.created", "--id", "order-1", "--wait")
    (lineage,) = steplane.json("lineage", "order-1")
    assert order["event_id"] == "order-1"
    assert [event["name"] for event in lineage["events"]] == ["shop/order.created", "shop/order.paid"]
    assert [run["function_id"] for run in lineage["runs"]] == ["checkout", "receipt"]
    checkout, receipt = lineage["runs"]
    assert lineage["events"][1]["source_run_id"] == checkout["id"]
    assert receipt["event_id"] == lineage["events"][1]["id"]
    traces = {item["traceparent"][3:35] for item in (*lineage["events"], *lineage["runs"], *checkout["steps"])}
    assert len(traces) == 1
    lines = steplane("lineage", "order-1", "--no-json").stdout.splitlines()
    assert [line.strip("│├└─ ").split("  ")[0] for line in lines if "trace" not in line][:6] == [
        "◆ shop/order.created",
        "✔ shop/checkout",
        "✔ charge",
        "✔ notify",
        "◆ shop/order.paid",
        next(f"{mark} shop/receipt" for mark in "○▶✘" if any(f"{mark} shop/receipt" in line for line in lines)),
    ]


def test_a_lineage_of_nothing(steplane: Shell) -> None:
    """An unknown event is told as that: exits with 1."""
    assert "there is no event 'E0'" in steplane("lineage", "E0", exits=1).stderr


def test_a_run_is_cancelled_while_it_is_watched(steplane: Shell) -> None:
    """A run without a worker waits; cancelling it ends the watch, which fails; it can't be cancelled twice."""
    with Worker(steplane.address, "idle", {"wait": ("idle/wait", list)}):
        pass  # registered, and gone: its runs stay in the queue
    started = steplane.json("trigger", "idle/wait")[0]
    # A process of its own: in this one two commands would write to the same standard output.
    command = [sys.executable, "-m", "controlplane", "run", started["run_id"], "--watch", "--json"]
    environ = os.environ | {"STEPLANE_ADDRESS": steplane.address}
    watcher = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (run,) = steplane.json("cancel", started["run_id"], "--reason", "changed my mind")
    out, err = watcher.communicate(timeout=30)
    assert run["state"] == "cancelled"
    assert watcher.returncode == 1
    assert json.loads(out.splitlines()[-1])["state"] == "cancelled"
    assert "was cancelled" in err
    assert steplane("cancel", started["run_id"], exits=1).stdout == ""
    (shown,) = steplane.json("run", started["run_id"])
    assert "changed my mind" in shown["failure"]["message"]


def test_functions_are_listed(steplane: Shell) -> None:
    """Functions with their triggers and the workers that serve them."""
    functions = {function["function_id"]: function for function in steplane.json("functions", "--app", "shop")}
    assert functions["checkout"]["triggers"] == [{"event": {"event": "shop/order.created", "expression": None}}]
    assert functions["checkout"]["live_sessions"] == 1
    assert "shop/checkout" in steplane("functions", "--no-json").stdout


def test_tables_are_for_people(steplane: Shell) -> None:
    """With --no-json lists are tables, and an empty one says so."""
    steplane("send", "shop/order.created", "--wait")
    assert steplane("runs", "--no-json").stdout.startswith("state")
    assert steplane("events", "--no-json").stdout.startswith("received")
    assert steplane("events", "--name", "no/such", "--no-json").stdout == "no events\n"
    assert "there are more: --limit" in steplane("events", "--limit", "1", "--no-json").stdout


def test_the_command_itself(address: str) -> None:
    """`python -m controlplane` is `steplane`: its address comes from the environment, and a pipe gets JSON."""
    result = subprocess.run(
        [sys.executable, "-m", "controlplane", "functions"],
        env={**os.environ, "STEPLANE_ADDRESS": address},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {json.loads(line)["app_id"] for line in result.stdout.splitlines()} >= {"shop"}
    assert result.stderr == ""


def test_help_loads_nothing_slow() -> None:
    """`steplane --help` needs neither gRPC nor rich."""
    code = (
        "import sys\n"
        "from controlplane.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "slow = {'grpc', 'google.protobuf', 'rich', 'sqlite3', 'structlog'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in COMMANDS:
        assert f"  {command.name} " in result.stdout
