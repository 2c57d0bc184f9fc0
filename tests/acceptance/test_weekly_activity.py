"""The guide's program, end to end: a schedule fans out, and every user gets one e-mail."""

from __future__ import annotations

from hashlib import sha256

import pytest

from controlplane.gen.steplane.v1 import run_pb2
from tests.acceptance.place import Place, Tree

USERS = 25


@pytest.fixture(scope="module")
def tree(place: Place) -> Tree:
    """All that came of one tick."""
    place.start_program("weekly_activity.py", place.folder / "mailbox")
    (run,) = place.steplane("trigger", "weekly-activity-load-users")
    return place.tree(run["event_id"])


def span(*names: str) -> str:
    """The span that the contract derives from names."""
    return sha256("/".join(names).encode()).hexdigest()[:16]


def test_everybody_gets_one_e_mail(place: Place, tree: Tree) -> None:
    """The fan-out starts one run a user, and each of them sends its e-mail once."""
    mails = (place.folder / "mailbox").read_text().splitlines()
    assert sorted(mails) == sorted(f"u{number}@example.com wrote {number} posts" for number in range(USERS))


def test_every_run_completes_and_remembers_its_steps(tree: Tree) -> None:
    """One run of the schedule with two steps, and one a user with two steps each; no more."""
    (load,) = tree.runs_of("weekly-activity-load-users")
    assert (load.state, load.output.data) == (run_pb2.RUN_STATE_COMPLETED, b'{"count":25}')
    assert list(tree.steps(load)) == ["fetch-users#0", "fan-out-weekly-emails#0"]
    emails = tree.runs_of("weekly-activity-send-email")
    assert len(emails) == USERS
    assert {run.state for run in emails} == {run_pb2.RUN_STATE_COMPLETED}
    assert {tuple(tree.steps(run)) for run in emails} == {("load-user-data#0", "email-user#0")}
    assert {run.attempt for run in tree.runs} == {0}
    assert len(tree.runs) == 1 + USERS


def test_the_lineage_ties_it_together(tree: Tree) -> None:
    """Tick, run, step, child events, their runs: each names where it came from, and the step names what it sent."""
    (load,) = tree.runs_of("weekly-activity-load-users")
    sent = list(tree.steps(load)["fan-out-weekly-emails#0"].event_ids)
    assert len(set(sent)) == USERS
    children = {id_: record for id_, record in tree.events.items() if id_ != load.event_id}
    assert set(children) == set(sent)
    assert {(record.source_run_id, record.source_step_key) for record in children.values()} == {
        (load.id, "fan-out-weekly-emails#0")
    }
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
