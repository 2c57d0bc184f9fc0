"""The guide's program in each of its languages, end to end: a schedule fans out, and every user gets one e-mail."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from controlplane.gen.steplane.v1 import run_pb2
from tests.acceptance.build import build_go, build_typescript
from tests.acceptance.place import PROGRAMS, Place, Tree

pytestmark = pytest.mark.timeout(600)  # the first time it builds the SDKs

USERS = 25
COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "python": lambda _: [sys.executable, PROGRAMS / "weekly_activity.py"],
    "node": lambda folder: build_typescript(PROGRAMS / "weekly_activity.mts", folder),
    "go": lambda folder: build_go(PROGRAMS / "weekly_activity", folder),
}
"""By what has to be installed for it, how the program is started, once it is built in a folder."""


@pytest.fixture(scope="module", params=COMMANDS)
def tool(request: pytest.FixtureRequest) -> str:
    """What is needed for the program's language."""
    tool = str(request.param)
    if tool != "python" and shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    return tool


@pytest.fixture(scope="module")
def place(tool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server for one language: the program is the same app in all of them."""
    place = Place(tmp_path_factory.mktemp(tool))
    place.start_server()
    yield place
    place.close()


@pytest.fixture(scope="module")
def fan_out(tool: str) -> str:
    """The key of the step that sends the events: the guide calls it so in Go, and so elsewhere."""
    return "send-events#0" if tool == "go" else "fan-out-weekly-emails#0"


@pytest.fixture(scope="module")
def tree(tool: str, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """All that came of one tick."""
    command = COMMANDS[tool](tmp_path_factory.mktemp("built"))
    place.start_serving([*command, place.folder / "mailbox"])
    (run,) = place.steplane("trigger", "weekly-activity-load-users")
    return place.tree(run["event_id"])


def span(*names: str) -> str:
    """The span that the contract derives from names."""
    return sha256("/".join(names).encode()).hexdigest()[:16]


def test_everybody_gets_one_e_mail(place: Place, tree: Tree) -> None:
    """The fan-out starts one run a user, and each of them sends its e-mail once."""
    mails = (place.folder / "mailbox").read_text().splitlines()
    assert sorted(mails) == sorted(f"u{number}@example.com wrote {number} posts" for number in range(USERS))


def test_every_run_completes_and_remembers_its_steps(tree: Tree, fan_out: str) -> None:
    """One run of the schedule with two steps, and one a user with two steps each; no more."""
    (load,) = tree.runs_of("weekly-activity-load-users")
    assert (load.state, load.output.data) == (run_pb2.RUN_STATE_COMPLETED, b'{"count":25}')
    assert list(tree.steps(load)) == ["fetch-users#0", fan_out]
    emails = tree.runs_of("weekly-activity-send-email")
    assert len(emails) == USERS
    assert {run.state for run in emails} == {run_pb2.RUN_STATE_COMPLETED}
    assert {tuple(tree.steps(run)) for run in emails} == {("load-user-data#0", "email-user#0")}
    assert {run.attempt for run in tree.runs} == {0}
    assert len(tree.runs) == 1 + USERS


def test_the_lineage_ties_it_together(tree: Tree, fan_out: str) -> None:
    """Tick, run, step, child events, their runs: each names where it came from, and the step names what it sent."""
    (load,) = tree.runs_of("weekly-activity-load-users")
    sent = list(tree.steps(load)[fan_out].event_ids)
    assert len(set(sent)) == USERS
    children = {id_: record for id_, record in tree.events.items() if id_ != load.event_id}
    assert set(children) == set(sent)
    assert {(record.source_run_id, record.source_step_key) for record in children.values()} == {(load.id, fan_out)}
    assert tree.events[load.event_id].source_run_id == ""
    assert {run.event_id for run in tree.runs_of("weekly-activity-send-email")} == set(sent)


def test_one_trace_goes_through_the_tree(tree: Tree) -> None:
    """One trace id; a run's span and a step's are as the contract says, and a child event bears its step's span."""
    assert len({traceparent[3:35] for traceparent in tree.traceparents()}) == 1
    for run in tree.runs:
        assert run.traceparent[36:52] == span(run.id)
        for key, entry in tree.steps(run).items():
            assert entry.traceparent[36:52] == span(run.id, key)
            for event_id in entry.event_ids:
                assert tree.events[event_id].event.traceparent == entry.traceparent
