"""One trip through three languages: a Python function fans out to functions in TypeScript, one of which invokes one in Go.

Each worker is killed once, in the middle of a step, and started again.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from controlplane.gen.steplane.v1 import run_pb2
from tests.acceptance.build import build_go, build_typescript
from tests.acceptance.place import Place, Tree, wait_until

LANGUAGES = Path(__file__).with_name("languages")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRIP = "trip-1"
FUNCTIONS = {"plan", "book-hotel", "book-other", "price"}
KILLED = [
    ("travel", "plan", "close", {"needs#0", "ask#0"}),
    ("pricing", "price", "sum", {"rate#0"}),
    ("offers", "book-hotel", "confirm", {"find#0", "price#0"}),
]
"""Which worker is killed in which step of which function, and what is recorded of that run then; in this order."""

pytestmark = [
    pytest.mark.skipif(
        shutil.which("node") is None or shutil.which("go") is None, reason="node or go is not installed"
    ),
    pytest.mark.timeout(600),  # the first time it builds the SDKs
]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sequence[object]]:
    """How the worker of each app is started."""
    folder = tmp_path_factory.mktemp("built")
    return {
        "travel": [sys.executable, LANGUAGES / "travel.py"],
        "offers": build_typescript(LANGUAGES / "offers.mts", folder),
        "pricing": build_go(LANGUAGES / "pricing", folder),
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server that soon gives the runs of a killed worker to the next one."""
    place = Place(tmp_path_factory.mktemp("place"), "--session-grace", "300ms")
    place.start_server()
    yield place
    place.close()


@pytest.fixture(scope="module")
def tree(place: Place, commands: dict[str, Sequence[object]]) -> Tree:
    """All that came of one trip, after all kills."""
    folder = place.folder
    workers = {app: place.start_worker([*command, folder]) for app, command in commands.items()}
    wait_until(lambda: {each["function_id"] for each in _served(place)} == FUNCTIONS)
    for app, *_ in KILLED:
        (folder / f"hold-{app}").touch()
    place.steplane("send", "travel/trip.asked", "{}", "--id", TRIP, "--traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")
    for app, function, step, recorded in KILLED:
        _wait_for_step(place, function, step, recorded)
        workers[app].kill()
        workers[app].wait()
        (folder / f"hold-{app}").unlink()
        place.start_worker([*commands[app], folder])
    return place.tree(TRIP)


def test_every_run_completes_with_what_the_others_gave_it(tree: Tree) -> None:
    """Values go from language to language, and no kill costs a run one of its tries."""
    assert {run.state for run in tree.runs} == {run_pb2.RUN_STATE_COMPLETED}
    assert {run.attempt for run in tree.runs} == {0}
    outputs = {
        function: [json.loads(run.output.data) for run in tree.runs_of(function)] for function in sorted(FUNCTIONS)
    }
    assert sorted(output["found"] for output in outputs.pop("book-other")) == ["GUIDE", "TRAIN"]
    assert outputs == {
        "plan": [{"asked": 3, "state": "closed"}],
        "book-hotel": ["room 12 for 240"],
        "price": [{"total": 240}],
    }


def test_no_recorded_step_is_repeated(place: Place, tree: Tree) -> None:
    """Of all code of steps, only that ran twice which was under way when its worker was killed."""
    assert len(tree.runs) == 5
    once = {"plan/needs", "book-hotel/find", "price/rate"}
    once |= {f"book-other/{step} {kind}" for step in ("find", "check") for kind in ("train", "guide")}
    twice = {f"{function}/{step}" for _, function, step, _ in KILLED}
    assert Counter(_notes(place)) == dict.fromkeys(once, 1) | dict.fromkeys(twice, 2)


def test_all_of_it_is_one_tree(tree: Tree) -> None:
    """Each event but the first was sent by a step of a run of the tree: the fan-out's in Python, the invocation's in TypeScript."""
    (plan,) = tree.runs_of("plan")
    (hotel,) = tree.runs_of("book-hotel")
    (price,) = tree.runs_of("price")
    sources = {id_: (record.source_run_id, record.source_step_key) for id_, record in tree.events.items()}
    assert sources.pop(TRIP) == ("", "")
    assert sources.pop(price.event_id) == (hotel.id, "price#0")
    assert set(sources.values()) == {(plan.id, "ask#0")}
    assert set(sources) == {run.event_id for run in tree.runs} - {TRIP, price.event_id}
    assert {plan.app_id, hotel.app_id, price.app_id} == {"travel", "offers", "pricing"}


def test_one_trace_goes_through_all_languages(tree: Tree) -> None:
    """Events, runs and steps all have the trace id that the first event came with."""
    assert {traceparent[3:35] for traceparent in tree.traceparents()} == {TRACE}


def _notes(place: Place) -> list[str]:
    """The steps whose code began."""
    notes = place.folder / "notes"
    return notes.read_text().splitlines() if notes.exists() else []


def _served(place: Place) -> list[dict[str, object]]:
    """The functions that a worker serves."""
    return [function for function in place.steplane("functions") if function["live_sessions"]]


def _wait_for_step(place: Place, function: str, step: str, recorded: set[str]) -> None:
    """Return once the code of a step has begun, and those before it are recorded."""
    wait_until(lambda: f"{function}/{step}" in _notes(place))
    wait_until(lambda: _recorded(place, function) >= recorded)


def _recorded(place: Place, function: str) -> set[str]:
    """The steps of a function's one run that have their result."""
    lineage = place.lineage(TRIP)
    (run,) = [run for run in lineage.runs if run.function_id == function]
    (journal,) = [journal for journal in lineage.journals if journal.run_id == run.id]
    return {entry.step_key for entry in journal.entries if entry.state == run_pb2.STEP_STATE_COMPLETED}
