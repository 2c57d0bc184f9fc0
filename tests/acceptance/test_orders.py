"""A shop's program, end to end: what fails, waits, or runs side by side, and the trace that goes through all of it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from controlplane.gen.steplane.v1 import run_pb2
from tests.acceptance.place import Place, Tree

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ITEMS = ["tea", "milk", "sugar"]


class Notes:
    """What the code of steps noted."""

    def __init__(self, text: str) -> None:
        self._lines = [line.split() for line in text.splitlines()]

    def counts(self, run: run_pb2.Run) -> dict[str, int]:
        """How often each step of a run was begun."""
        return dict(Counter(step for run_id, step, _, _ in self._lines if run_id == run.id))

    def moments(self, run: run_pb2.Run, step: str) -> list[int]:
        """When a step was begun, in microseconds."""
        return [int(moment) for run_id, name, _, moment in self._lines if (run_id, name) == (run.id, step)]

    def traceparents(self) -> dict[tuple[str, str], str]:
        """The trace context that the code of each step was given."""
        return {(run_id, step): traceparent for run_id, step, traceparent, _ in self._lines}


@pytest.fixture(scope="module")
def tree(place: Place) -> Tree:
    """All that came of one order."""
    place.start_program("orders.py", place.folder / "notes")
    order = json.dumps({"items": ITEMS})
    traceparent = f"00-{TRACE}-00f067aa0ba902b7-01"
    place.steplane("send", "shop/order.placed", order, "--id", "order-1", "--traceparent", traceparent)
    return place.tree("order-1")


@pytest.fixture(scope="module")
def notes(place: Place, tree: Tree) -> Notes:
    """What was noted on the way."""
    return Notes((place.folder / "notes").read_text())


@pytest.fixture
def fulfil(tree: Tree) -> run_pb2.Run:
    """The order's own run."""
    (run,) = tree.runs_of("fulfil")
    return run


def test_the_order_is_fulfilled(tree: Tree, fulfil: run_pb2.Run) -> None:
    """Its run completes although two of its steps fail, and knows what each step returned."""
    assert fulfil.state == run_pb2.RUN_STATE_COMPLETED
    assert json.loads(fulfil.output.data) == {
        "reserved": ["TEA", "MILK", "SUGAR"],
        "paid_by": "transfer, as the gift card is empty",
        "told": 3,
        "trace": fulfil.traceparent,
    }


def test_each_step_runs_as_often_as_it_has_to(fulfil: run_pb2.Run, notes: Notes) -> None:
    """What succeeded ran once, although the function was replayed after its sleep and its retry."""
    reserved = {f"reserve-{item}": 1 for item in ITEMS}
    assert notes.counts(fulfil) == reserved | {"gift-card": 1, "transfer": 2}


def test_a_failure_is_remembered(tree: Tree, fulfil: run_pb2.Run) -> None:
    """The declined step stands in the journal with its failure; it was not tried again."""
    entry = tree.steps(fulfil)["gift-card#0"]
    assert (entry.state, entry.attempts) == (run_pb2.STEP_STATE_FAILED, 1)
    assert (entry.failure.name, entry.failure.message) == ("NonRetriableError", "the gift card is empty")


def test_a_busy_bank_is_asked_again_when_it_said(tree: Tree, fulfil: run_pb2.Run, notes: Notes) -> None:
    """The step is tried again after the second that it asked for."""
    first, second = notes.moments(fulfil, "transfer")
    assert 1_000_000 <= second - first < 10_000_000
    assert tree.steps(fulfil)["transfer#0"].attempts == 2


def test_a_sleep_lasts(tree: Tree, fulfil: run_pb2.Run) -> None:
    """The run goes on no sooner than it slept."""
    sleep, tell = (tree.steps(fulfil)[key] for key in ("until-it-is-packed#0", "tell#0"))
    assert sleep.state == run_pb2.STEP_STATE_COMPLETED
    assert tell.start_time.ToMicroseconds() - sleep.start_time.ToMicroseconds() >= 300_000


def test_child_events_start_plain_functions(tree: Tree, notes: Notes) -> None:
    """One run for each item, which a wildcard matches; both of its branches ran, in threads."""
    runs = tree.runs_of("thank")
    outputs = sorted(json.loads(run.output.data) for run in runs)
    assert outputs == [[f"mail: {item}", f"letter: {item}"] for item in ("MILK", "SUGAR", "TEA")]
    assert [notes.counts(run) for run in runs] == [{"write-mail": 1, "write-letter": 1}] * 3


def test_the_producer_s_trace_goes_through_all_of_it(tree: Tree, notes: Notes) -> None:
    """Events, runs and steps belong to the trace that the order was sent in, and so does the code of each step."""
    assert {traceparent[3:35] for traceparent in tree.traceparents()} == {TRACE}
    recorded = {
        (run.id, key.removesuffix("#0")): entry.traceparent
        for run in tree.runs
        for key, entry in tree.steps(run).items()
    }
    noted = notes.traceparents()
    assert noted == {step: recorded[step] for step in noted}


def test_an_order_of_nothing_starts_nothing(place: Place, tree: Tree) -> None:
    """The expression keeps the function from it; the event is there all the same."""
    place.steplane("send", "shop/order.placed", '{"items": []}', "--id", "order-0")
    assert [event["id"] for event in place.steplane("events", "--id", "order-0")] == ["order-0"]
    assert place.steplane("runs", "--event", "order-0") == []


def test_a_step_that_keeps_failing_fails_its_run(place: Place, tree: Tree) -> None:
    """After its retries the run fails, in the words of the last try; nothing is tried again."""
    place.steplane("send", "shop/order.audited", "{}", "--id", "audit-1")
    (run,) = place.tree("audit-1").runs
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert (run.failure.name, run.failure.message, run.failure.step_key) == (
        "LookupError",
        "the books are gone",
        "look#0",
    )
    assert Notes((place.folder / "notes").read_text()).counts(run) == {"look": 2}
