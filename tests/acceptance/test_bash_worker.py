"""The worker in bash of examples/, as a process: it serves, it is killed between two steps, it is given bad events."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.gen.steplane.v1 import run_pb2
from tests.acceptance.place import Place, wait_until
from tests.repo.page import ROOT, blocks

WORKER = ROOT / "examples" / "bash_worker" / "worker.sh"
PAGE = ROOT / "docs" / "guides" / "workers-without-an-sdk.md"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
COMMAND = f"""#!/bin/sh
# The command `steplane`, which holds a worker back before it sends events, for as long as a test wants it to.
case "$*" in
*--send-events*) while [ -e hold ]; do touch held; sleep 0.02; done ;;
esac
exec {sys.executable} -m controlplane "$@"
"""


class Bash:
    """A folder in which the worker runs; it and all that it started can be killed at once."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.folder = folder
        self._workers: list[subprocess.Popen[bytes]] = []
        command = folder / "bin" / "steplane"
        command.parent.mkdir()
        command.write_text(COMMAND)
        command.chmod(0o755)

    def start(self, shelves: str = "shelves.txt") -> None:
        """Start a worker, and wait until the server knows it."""
        environment = os.environ | {
            "STEPLANE_ADDRESS": self.place.address,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SHELVES": shelves,
        }
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                ["bash", WORKER], cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._workers.append(worker)
        wait_until(lambda: any(function["live_sessions"] for function in self.place.steplane("functions")))

    def kill(self) -> None:
        """Kill it at once, with whatever it runs."""
        for worker in self._workers:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self._workers.clear()

    def send(self, order: str, event_id: str) -> None:
        """Send an order."""
        trace = ("--traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")
        self.place.steplane("send", "shop/order.paid", f'{{"order": {order}}}', "--id", event_id, *trace)

    def shelved(self) -> list[str]:
        """The orders that the first step's body was given."""
        return (self.folder / "shelves.txt").read_text().splitlines()


@pytest.fixture
def bash(place: Place, tmp_path: Path) -> Iterator[Bash]:
    """A folder for workers, none of which outlives its test."""
    bash = Bash(place, tmp_path)
    yield bash
    bash.kill()


def test_the_page_shows_it_as_it_is() -> None:
    """The function on the page about such workers is the one that these tests run."""
    (shown,) = [block.text for block in blocks(PAGE, "bash") if block.text.startswith("fulfil()")]
    assert f"\n{shown}\n" in WORKER.read_text()


def test_it_serves_a_function_with_two_steps_and_a_child_event(bash: Bash) -> None:
    """The run completes with what its steps gave, and its child event is in its lineage and its trace."""
    bash.start()
    bash.send("17", "paid-17")
    tree = bash.place.tree("paid-17")
    (run,) = tree.runs
    assert (run.state, run.output.data, run.epoch) == (run_pb2.RUN_STATE_COMPLETED, b'"shelf 7"', 1)
    assert list(tree.steps(run)) == ["put#0", "announce#0"]
    paid, parcel = tree.events.values()
    assert paid.event.id == "paid-17"
    (told,) = bash.place.steplane("events", "--id", parcel.event.id)
    assert (told["name"], told["data"]) == ("shop/parcel.packed", {"order": 17, "shelf": "shelf 7"})
    assert (parcel.source_run_id, parcel.source_step_key) == (run.id, "announce#0")
    assert {traceparent[3:35] for traceparent in tree.traceparents()} == {TRACE}
    assert bash.shelved() == ["order 17"]


def test_it_is_killed_between_two_steps(bash: Bash) -> None:
    """Started again it goes on at once with what is recorded: no step is repeated, and no event is sent twice."""
    (bash.folder / "hold").touch()
    bash.start()
    bash.send("28", "paid-28")
    wait_until((bash.folder / "held").exists)
    bash.kill()
    journals = bash.place.lineage("paid-28").journals
    assert [[entry.step_key for entry in journal.entries] for journal in journals] == [["put#0"]]
    (bash.folder / "hold").unlink()
    bash.start()
    tree = bash.place.tree("paid-28")
    (run,) = tree.runs
    assert (run.state, run.epoch, run.attempt) == (run_pb2.RUN_STATE_COMPLETED, 2, 0)
    assert sorted(record.event.name for record in tree.events.values()) == ["shop/order.paid", "shop/parcel.packed"]
    assert bash.shelved() == ["order 28"]


def test_a_step_of_it_fails(bash: Bash) -> None:
    """The try is recorded, and the run is parked until the next one is due; the worker goes on with others meanwhile."""
    bash.start(shelves="/nowhere/shelves.txt")
    bash.send("3", "paid-3")
    wait_until(
        lambda: [run.state for run in bash.place.lineage("paid-3").runs] == [run_pb2.RUN_STATE_WAITING],
    )
    (run,) = bash.place.lineage("paid-3").runs
    (shown,) = bash.place.steplane("run", run.id)
    assert [(step["step_key"], step["state"], step["attempts"]) for step in shown["steps"]] == [
        ("put#0", "retrying", 1)
    ]
    assert shown["steps"][0]["failure"]["name"] == "NoShelf"
    bash.place.steplane("cancel", run.id)


def test_an_event_of_somebody_else_is_data_and_nothing_else(bash: Bash) -> None:
    """What would be a command in bash's arithmetic is refused, and fails its run for good."""
    bash.start()
    bash.send('"x[$(touch run-by-bash)]"', "paid-x")
    (run,) = bash.place.tree("paid-x").runs
    assert (run.state, run.failure.name) == (run_pb2.RUN_STATE_FAILED, "BadOrder")
    assert not (bash.folder / "run-by-bash").exists()
