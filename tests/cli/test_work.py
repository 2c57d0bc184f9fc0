"""`steplane work` against a real server: what a worker made of commands is told, and what its exit codes say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from controlplane.config import Address, Config
from tests.cli.place import Server, Shell

POLL = ("work", "poll", "--app", "shop", "--function", "fulfil", "--wait", "0s")


@pytest.fixture
def steplane(tmp_path: Path) -> Iterator[Shell]:
    """The commands, and a server that knows one function and has one run of it."""
    config = Config(db=tmp_path / "steplane.db", listen=Address("127.0.0.1", 0), synchronous="normal")
    # The server shares this process, but its log is no part of what commands print.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with Server(config) as address:
        shell = Shell(address)
        shell("work", "register", "--app", "shop", "--function", "fulfil", "--trigger-event", "shop/order.paid")
        shell("send", "shop/order.paid", '{"order": 17}', "--id", "paid-17")
        yield shell
    structlog.reset_defaults()


class Lease:
    """A lease, and reports on it."""

    def __init__(self, steplane: Shell, *options: str) -> None:
        self._steplane = steplane
        (self.invocation,) = steplane.json(*POLL, *options)

    def report(self, *options: str, exits: int = 0) -> Any:
        """The answers to a report."""
        result = self.result(*options, exits=exits)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def result(self, *options: str, exits: int = 0) -> Any:
        """The same with what is told of problems."""
        lease = ("--run", self.invocation["run_id"], "--epoch", str(self.invocation["epoch"]))
        return self._steplane("work", "report", *lease, *options, exits=exits)


# Registering


def test_a_function_is_registered(steplane: Shell) -> None:
    """By options; the same again changes nothing, something else is a new version."""
    options = ["--app", "shop", "--function", "weekly", "--cron", "0 7 * * 1", "--time-zone", "Europe/Berlin"]
    options += ["--trigger-event", "shop/*", "--trigger-event", "till/*", "--if", "event.data.n > 1", "--retries", "2"]
    (first,) = steplane.json("work", "register", *options)
    assert first == {"app_id": "shop", "function_id": "weekly", "version": 1, "warnings": []}
    assert steplane.json("work", "register", *options)[0]["version"] == 1
    assert steplane.json("work", "register", *options, "--retries", "0")[0]["version"] == 2
    (shown,) = steplane.json("functions", "shop/weekly")
    assert shown["retry"]["retries"] == 0
    assert shown["triggers"] == [
        {"event": {"event": "shop/*", "expression": "event.data.n > 1"}},
        {"event": {"event": "till/*", "expression": "event.data.n > 1"}},
        {"cron": {"cron": "0 7 * * 1", "time_zone": "Europe/Berlin"}},
    ]


def test_a_function_is_registered_from_json(steplane: Shell, tmp_path: Path) -> None:
    """With all that the contract has, in the contract's names; what options say counts before it."""
    definition = {
        "app_id": "shop",
        "function_id": "other",
        "triggers": [{"event": {"event": "shop/order.paid"}}],
        "retry": {"delays": ["5s"]},
        "concurrency": [{"limit": 2, "scope": "app", "key": "'shelves'"}],
    }
    (tmp_path / "pack.json").write_text(json.dumps(definition))
    steplane("work", "register", f"@{tmp_path / 'pack.json'}", "--function", "pack", "--retries", "3")
    (shown,) = steplane.json("functions", "shop/pack")
    assert (shown["retry"]["retries"], shown["retry"]["delays"]) == (3, ["5s"])
    assert [(limit["limit"], limit["scope"]) for limit in shown["concurrency"]] == [(2, "app")]
    assert shown["triggers"] == [{"event": {"event": "shop/order.paid", "expression": None}}]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--app", "shop", "--function", "a b", "--trigger-event", "x"], "definition.function_id"),
        (["--app", "shop", "--function", "x"], "definition.triggers"),
        (["--app", "shop", "--function", "x", "--cron", "every day"], "definition.triggers[0].cron"),
        (["--app", "shop", "--function", "x", "--cron", "* * * * *", "--if", "true"], "--if goes with --trigger-event"),
        (['{"app": "shop"}'], 'no field named "app"'),
        (['["shop"]'], "not a FunctionDefinition"),
        (["{"], "that is not JSON"),
    ],
)
def test_a_bad_definition(steplane: Shell, arguments: list[str], told: str) -> None:
    """Exits with 2 and says what is wrong."""
    assert told in steplane("work", "register", *arguments, exits=2).stderr
    assert len(steplane.json("functions")) == 1


# Polling


def test_a_poll_prints_one_run(steplane: Shell) -> None:
    """With the values of events and steps as they are; nothing at all where there is no work."""
    lease = Lease(steplane)
    invocation = lease.invocation
    assert (invocation["function_id"], invocation["epoch"], invocation["attempt"]) == ("fulfil", 1, 0)
    assert [(event["id"], event["data"]) for event in invocation["events"]] == [("paid-17", {"order": 17})]
    assert (invocation["journal"], invocation["journal_remaining"]) == ([], 0)
    result = steplane(*POLL)
    assert (result.stdout, result.stderr) == ("", "")


def test_a_worker_of_one_name_gets_back_what_it_lost(steplane: Shell) -> None:
    """At once, with what is recorded; without a name it is lost until its time is over."""
    lost = Lease(steplane, "--instance", "till-7")
    lost.report("--step", "put", "--text", "shelf 7")
    assert steplane.json(*POLL, "--instance", "till-8") == []
    again = Lease(steplane, "--instance", "till-7")
    assert (again.invocation["run_id"], again.invocation["epoch"]) == (lost.invocation["run_id"], 2)
    assert [(step["step_key"], step["state"], step["output"]) for step in again.invocation["journal"]] == [
        ("put#0", "completed", "shelf 7")
    ]
    assert "is not yours any more" in lost.result("--complete", "1", exits=1).stderr


def test_a_large_journal_is_printed_whole(tmp_path: Path) -> None:
    """Though one answer has no room for it."""
    output = json.dumps("x" * 30_000)
    config = Config(
        db=tmp_path / "steplane.db",
        listen=Address("127.0.0.1", 0),
        event_bytes_max=10_000,
        batch_bytes_max=60_000,
        step_output_bytes_max=40_000,
        frame_bytes_max=180_000,
    )
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with Server(config) as address:
        shell = Shell(address)
        shell("work", "register", "--app", "shop", "--function", "fulfil", "--trigger-event", "shop/order.paid")
        shell("send", "shop/order.paid")
        lease = Lease(shell, "--instance", "till-7")
        (tmp_path / "large.json").write_text(output)
        for index in range(10):
            lease.report("--step", f"s{index}", "--output", f"@{tmp_path / 'large.json'}")
        again = Lease(shell, "--instance", "till-7").invocation
    structlog.reset_defaults()
    assert [step["step_key"] for step in again["journal"]] == [f"s{index}#0" for index in range(10)]
    assert {len(step["output"]) for step in again["journal"]} == {30_000}
    assert again["journal_remaining"] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--app", "shop", "--function", "unknown"], "has no function 'unknown'"),
        (["--app", "shop"], "Missing option '--function'"),
        (["--app", "shop", "--function", "fulfil", "--wait", "61s"], "wait: must be from 0 to 60 seconds"),
        (["--app", "shop", "--function", "fulfil", "--wait", "soon"], "'soon' is no duration"),
    ],
)
def test_a_bad_poll(steplane: Shell, arguments: list[str], told: str) -> None:
    """Exits with 2 and says what is wrong."""
    assert told in steplane("work", "poll", *arguments, exits=2).stderr


# Reporting


def test_a_run_from_poll_to_end(steplane: Shell) -> None:
    """Steps by options, each answered by its ack; a step that sends events, and the outcome, in one call or in several."""
    lease = Lease(steplane)
    (ack,) = lease.report("--step", "put", "--output", '{"shelf": 7}')
    assert (ack["run_id"], ack["epoch"]) == (lease.invocation["run_id"], 1)
    assert (ack["step_key"], ack["status"]) == ("put#0", "committed")
    events = '[{"name": "shop/parcel.packed", "data": {"order": 17}}, {"name": "shop/shelf.full", "id": "full-7"}]'
    sent, done = lease.report("--step", "tell#1", "--send-events", events, "--complete", '"packed"')
    assert (sent["step_key"], sent["entry"]["event_ids"][1]) == ("tell#1", "full-7")
    assert (done["step_key"], done["status"]) == (None, "committed")
    (run,) = steplane.json("run", lease.invocation["run_id"])
    assert (run["state"], run["output"]) == ("completed", "packed")
    (parcel,) = steplane.json("events", "--name", "shop/parcel.packed")
    assert (parcel["data"], parcel["source_step_key"]) == ({"order": 17}, "tell#1")


def test_a_report_that_was_recorded_before(steplane: Shell) -> None:
    """Is success as well: exits with 0, and tells what was recorded first."""
    lease = Lease(steplane)
    lease.report("--step", "put", "--output", "1")
    (ack,) = lease.report("--step", "put", "--output", "2")
    assert (ack["status"], ack["entry"]["output"]) == ("duplicate", 1)


def test_a_step_fails_and_the_run_is_parked(steplane: Shell) -> None:
    """The run comes again when the step is due, and tells how often it was tried."""
    lease = Lease(steplane)
    failed, parked = lease.report(
        "--step", "put", "--attempt", "1", "--fail", "NoShelf", "all full", "--retry-after", "1s", "--park", "put"
    )
    assert (failed["entry"]["state"], failed["entry"]["attempts"], parked["status"]) == ("retrying", 1, "committed")
    (again,) = steplane.json("work", "poll", "--app", "shop", "--function", "fulfil", "--wait", "30s")
    assert (again["run_id"], again["epoch"]) == (lease.invocation["run_id"], 2)
    (step,) = again["journal"]
    assert (step["state"], step["attempts"], step["failure"]["name"]) == ("retrying", 1, "NoShelf")


def test_a_run_fails_for_good(steplane: Shell) -> None:
    """Without --step the failure is the function's."""
    lease = Lease(steplane)
    lease.report("--fail", "BadOrder", "no such order", "--never")
    (run,) = steplane.json("run", lease.invocation["run_id"])
    assert (run["state"], run["failure"]["name"], run["failure"]["message"]) == ("failed", "BadOrder", "no such order")


def test_a_run_sleeps(steplane: Shell) -> None:
    """A sleep and the park that it needs are one command."""
    lease = Lease(steplane)
    slept, parked = lease.report("--step", "nap", "--sleep", "10m", "--park", "nap")
    assert (slept["entry"]["state"], parked["status"]) == ("pending", "committed")
    (run,) = steplane.json("run", lease.invocation["run_id"])
    assert run["state"] == "waiting"


def test_what_options_do_not_cover_is_reported_as_json(steplane: Shell, tmp_path: Path) -> None:
    """A report, or a list of them, in the contract's names, with values as they are; the lease may be that of the options."""
    lease = Lease(steplane)
    reports = [
        {"step_key": "put#0", "step_completed": {"output": {"shelf": None}, "attempt": 1}},
        {"step_key": "ok#0", "signal_wait_started": {"signal": "go", "timeout": "60s", "on_conflict": "replace"}},
        {"run_parked": {"blocked_by": ["ok#0"]}},
    ]
    (tmp_path / "reports.json").write_text(json.dumps(reports))
    acks = lease.report(f"@{tmp_path / 'reports.json'}")
    assert [ack["status"] for ack in acks] == ["committed"] * 3
    steplane("signal", "go", "--data", '{"by": "ann"}')
    again = Lease(steplane).invocation
    assert {step["step_key"]: step["output"] for step in again["journal"]} == {
        "put#0": {"shelf": None},
        "ok#0": {"by": "ann"},
    }
    whole = {"run_id": again["run_id"], "epoch": again["epoch"], "run_completed": {"output": [1]}}
    (ack,) = steplane.json("work", "report", json.dumps(whole))
    assert ack["status"] == "committed"


def test_a_report_without_anything_renews_the_lease(steplane: Shell) -> None:
    """It prints nothing while the lease stands; afterwards it exits with 1 and says why."""
    lease = Lease(steplane)
    assert lease.report() == []
    steplane("cancel", lease.invocation["run_id"], "--reason", "changed my mind")
    assert "it was cancelled: changed my mind" in lease.result(exits=1).stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--step", "put"], "what became of the step?"),
        (["--step", "put", "--output", "1", "--sleep", "1s"], "what became of the step?"),
        (["--output", "1"], "which step?"),
        (["--step", "put", "--fail", "NoShelf", "full"], "which try of the step failed?"),
        (["--complete", "1", "--park", "put"], "a run ends in one way"),
        (["--complete", "1", "--never"], "--never and --retry-after go with --fail"),
        (["--fail", "E", "m", "--never", "--retry-after", "1s"], "exclude each other"),
        (["--step", "put", "--output", "{"], "that is not JSON"),
        (["--step", "put", "--send-events", '{"nam": "x"}'], 'no field named "nam"'),
        (["{}", "--complete", "1"], "exclude each other"),
        (['{"run_complete": {}}'], "that is not a Report"),
        (["17"], "that is not a Report"),
        (['[{"step_completed": 17}]'], "that is not a Report"),
    ],
)
def test_a_bad_report(steplane: Shell, options: list[str], told: str) -> None:
    """Exits with 2, says what is wrong, and reports nothing."""
    lease = Lease(steplane)
    assert told in lease.result(*options, exits=2).stderr
    (run,) = steplane.json("run", lease.invocation["run_id"])
    assert (run["state"], run["steps"]) == ("running", [])


def test_a_report_of_nothing_known(steplane: Shell) -> None:
    """Without a lease the command says how to name one."""
    assert "STEPLANE_RUN and STEPLANE_EPOCH" in steplane("work", "report", "--complete", "1", exits=2).stderr


def test_a_report_that_the_server_rejects(steplane: Shell) -> None:
    """Exits with 2, with the reason; its ack is printed as well, and those beside it count."""
    lease = Lease(steplane)
    result = lease.result("--step", "put", "--output", "1", "--park", "other", exits=2)
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["committed", "rejected"]
    assert "UNKNOWN_STEP: blocked_by names 'other#0'" in result.stderr


def test_a_run_that_was_cancelled(steplane: Shell) -> None:
    """Exits with 1, and says so."""
    lease = Lease(steplane)
    steplane("cancel", lease.invocation["run_id"], "--reason", "changed my mind")
    result = lease.result("--step", "put", "--output", "1", exits=1)
    assert json.loads(result.stdout)["status"] == "run_ended"
    assert "it was cancelled: changed my mind" in result.stderr


def test_nobody_listens() -> None:
    """Exits with 3: report it again."""
    result = Shell("127.0.0.1:1")("work", "report", "--run", "r", "--epoch", "1", "--complete", "1", exits=3)
    assert "nothing listens" in result.stderr


def test_people_read_words(steplane: Shell) -> None:
    """With --no-json what was registered and reported is told in words."""
    told = steplane("work", "register", "--app", "shop", "--function", "x", "--trigger-event", "y", "--no-json").stdout
    assert told == "function shop/x is registered, version 1\n"
    lease = Lease(steplane)
    told = lease.result("--step", "put", "--text", "x", "--complete", "1", "--no-json").stdout
    run_id = lease.invocation["run_id"]
    assert told.splitlines() == [f"step put of run {run_id}: committed", f"outcome of run {run_id}: committed"]
