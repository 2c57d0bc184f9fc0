"""The replay machine: what each step of the code means, given the journal and the server's answers."""

from __future__ import annotations

import pytest

from steplane.errors import NonDeterminismError
from steplane.replay.journal import AckStatus, Entry, Failure, StepKind, StepState
from steplane.replay.machine import Machine, State, Status, StepCall

RUN, SLEEP, SEND = StepKind.RUN, StepKind.SLEEP, StepKind.SEND_EVENTS
FAILURE = Failure("ValueError", "boom")

COMPLETED = Entry("a#0", RUN, StepState.COMPLETED, b"1", attempts=1)
FAILED = Entry("a#0", RUN, StepState.FAILED, failure=FAILURE, attempts=5)
BACKING_OFF = Entry("a#0", RUN, StepState.RETRYING, failure=FAILURE, attempts=2, is_due_later=True)
DUE_AGAIN = Entry("a#0", RUN, StepState.RETRYING, failure=FAILURE, attempts=2)
ASLEEP = Entry("a#0", SLEEP, StepState.PENDING, is_due_later=True)
AWAKE = Entry("a#0", SLEEP, StepState.COMPLETED)
SENT = Entry("a#0", SEND, StepState.COMPLETED, event_ids=("e1", "e2"))


def machine(*journal: Entry, steps_max: int = 1000) -> Machine:
    """A machine with a journal."""
    return Machine(run_id="r1", epoch=1, journal=journal, steps_max=steps_max)


def reported(m: Machine, id_: str = "a", kind: StepKind = RUN) -> StepCall:
    """A step that was begun, done and reported."""
    call = m.begin(id_, kind)
    m.reported(call)
    return call


@pytest.mark.parametrize(
    ("entry", "kind", "status", "attempts"),
    [
        (None, RUN, Status.EXECUTE, 0),
        (COMPLETED, RUN, Status.COMPLETED, 1),
        (FAILED, RUN, Status.FAILED, 5),
        (BACKING_OFF, RUN, Status.BLOCKED, 2),
        (DUE_AGAIN, RUN, Status.EXECUTE, 2),
        (None, SLEEP, Status.EXECUTE, 0),
        (ASLEEP, SLEEP, Status.BLOCKED, 0),
        (AWAKE, SLEEP, Status.COMPLETED, 0),
        (None, SEND, Status.EXECUTE, 0),
        (SENT, SEND, Status.COMPLETED, 0),
    ],
)
def test_what_is_recorded_says_what_to_do(entry: Entry | None, kind: StepKind, status: Status, attempts: int) -> None:
    """A step that is recorded is never done again; one that is not, or that is due again, is to be executed."""
    call = machine(*([entry] if entry else [])).begin("a", kind)
    assert (call.status, call.attempts, call.entry) == (status, attempts, entry)


@pytest.mark.parametrize(
    ("entry", "kind", "expected", "found"),
    [
        (COMPLETED, SLEEP, r"expected: step.run\('a'", r"found:    step.sleep\('a'"),
        (ASLEEP, RUN, r"expected: step.sleep\('a'", r"found:    step.run\('a'"),
        (SENT, RUN, r"expected: step.send_event\('a'", r"found:    step.run\('a'"),
        (Entry("a#0", 9, StepState.COMPLETED), RUN, r"expected: step.<kind 9>\('a'", r"found:    step.run\('a'"),
    ],
)
def test_another_kind_is_refused(entry: Entry, kind: StepKind, expected: str, found: str) -> None:
    """Code that no longer matches the journal fails with what was expected and what was found."""
    with pytest.raises(NonDeterminismError, match=f"(?s){expected}.*{found}"):
        machine(entry).begin("a", kind)


@pytest.mark.parametrize(
    ("kind", "ack", "entry", "status", "goes_on"),
    [
        (RUN, AckStatus.COMMITTED, None, Status.COMPLETED, True),
        (RUN, AckStatus.DUPLICATE, COMPLETED, Status.COMPLETED, True),
        (RUN, AckStatus.DUPLICATE, FAILED, Status.FAILED, True),
        (RUN, AckStatus.COMMITTED, BACKING_OFF, Status.BLOCKED, False),
        (RUN, AckStatus.COMMITTED, DUE_AGAIN, Status.EXECUTE, True),
        (RUN, AckStatus.COMMITTED, FAILED, Status.FAILED, True),
        (RUN, AckStatus.REJECTED, None, Status.REJECTED, True),
        (SLEEP, AckStatus.COMMITTED, ASLEEP, Status.BLOCKED, False),
        (SLEEP, AckStatus.COMMITTED, AWAKE, Status.COMPLETED, True),
        (SLEEP, AckStatus.REJECTED, None, Status.REJECTED, True),
        (SEND, AckStatus.COMMITTED, SENT, Status.COMPLETED, True),
        (SEND, AckStatus.DUPLICATE, SENT, Status.COMPLETED, True),
    ],
)
def test_an_ack_says_how_to_go_on(
    kind: StepKind, ack: AckStatus, entry: Entry | None, status: Status, goes_on: bool
) -> None:
    """The code goes on with what the server recorded; it stays where it is while the server lets time pass."""
    m = machine()
    call = reported(m, kind=kind)
    assert m.acked("a#0", ack, entry, "why") is (call if goes_on else None)
    assert call.status is status
    assert call.problem == ("why" if ack is AckStatus.REJECTED else "")
    assert m.is_blocked is (status is Status.BLOCKED)


@pytest.mark.parametrize(
    ("before", "entry", "status"),
    [(ASLEEP, AWAKE, Status.COMPLETED), (BACKING_OFF, DUE_AGAIN, Status.EXECUTE), (BACKING_OFF, FAILED, Status.FAILED)],
)
def test_a_resolution_lets_a_blocked_step_go_on(before: Entry, entry: Entry, status: Status) -> None:
    """A sleep that is over is done; a retry that is due is executed, with its tries counted."""
    m = machine(before)
    call = m.begin("a", StepKind(before.kind))
    assert m.resolved(entry) is call
    assert (call.status, call.attempts if status is Status.EXECUTE else 2) == (status, 2)
    assert not m.is_blocked


def test_answers_that_nobody_waits_for_are_ignored() -> None:
    """An ack for a step that is done, abandoned or unknown changes nothing, and neither does such a resolution."""
    m = machine()
    call = reported(m)
    m.acked("a#0", AckStatus.COMMITTED)
    left = reported(m, "b")
    m.abandon(left)
    assert m.acked("a#0", AckStatus.REJECTED, None, "late") is None
    assert m.acked("b#0", AckStatus.COMMITTED) is None
    assert m.acked("c#0", AckStatus.COMMITTED) is None
    assert m.resolved(AWAKE) is None
    assert (call.status, list(m.live)) == (Status.COMPLETED, [])


def test_the_same_id_again_is_another_step() -> None:
    """Each use of an id has its own key, in the order of the calls."""
    m = machine(COMPLETED)
    assert [m.begin("a", RUN).key for _ in range(3)] == ["a#0", "a#1", "a#2"]
    assert m.begin("b", RUN).key == "b#0"


def test_it_is_blocked_only_if_every_live_step_is() -> None:
    """One step that executes, or whose ack is awaited, keeps the invocation from parking."""
    m = machine(ASLEEP)
    assert not m.is_blocked
    m.begin("a", SLEEP)
    assert m.is_blocked
    call = m.begin("b", RUN)
    assert not m.is_blocked
    m.reported(call)
    assert not m.is_blocked
    m.acked("b#0", AckStatus.COMMITTED)
    assert m.is_blocked
    assert m.park() == ["a#0"]
    assert (m.state, m.is_over) == (State.PARKED, True)


def test_a_sleep_blocks_from_its_report_on() -> None:
    """A sleep can be parked together with its report, before the ack comes."""
    m = machine()
    call = reported(m, kind=SLEEP)
    assert (call.status, m.park()) == (Status.BLOCKED, ["a#0"])


@pytest.mark.parametrize(("steps_max", "is_certain"), [(0, True), (1, False), (2, False)])
def test_a_sleep_that_may_be_refused_waits_for_its_ack(steps_max: int, *, is_certain: bool) -> None:
    """A sleep beyond the run's steps, or of a length that may be refused, is not parked before the server took it."""
    m = machine(steps_max=steps_max)
    call = m.begin("a", SLEEP)
    m.reported(call, is_certain=is_certain)
    assert (call.status, m.is_blocked) == (Status.REPORTED, False)


def test_the_last_step_of_a_run_may_be_a_sleep() -> None:
    """The limit itself is no reason to wait, one past it is."""
    m = machine(COMPLETED, steps_max=2)
    m.begin("a", RUN)
    assert reported(m, "b", SLEEP).status is Status.BLOCKED
    assert reported(m, "c", SLEEP).status is Status.REPORTED


def test_replay_lasts_until_all_that_is_recorded_was_seen() -> None:
    """The code is replayed while it walks over the journal, and executes from the first new step on."""
    assert machine().state is State.EXECUTING
    m = machine(COMPLETED, Entry("b#0", SLEEP, StepState.PENDING, is_due_later=True))
    m.begin("a", RUN)
    assert m.state is State.REPLAYING
    m.begin("b", SLEEP)
    assert m.state is State.EXECUTING
    left_out = machine(COMPLETED)
    left_out.begin("new", RUN)
    assert left_out.state is State.EXECUTING


@pytest.mark.parametrize("status", [Status.EXECUTE, Status.REPORTED, Status.BLOCKED])
def test_an_abandoned_step_no_longer_counts(status: Status) -> None:
    """A branch that was cancelled neither blocks nor keeps from parking."""
    m = machine(ASLEEP if status is Status.BLOCKED else COMPLETED)
    call = m.begin("a", SLEEP) if status is Status.BLOCKED else m.begin("b", RUN)
    if status is Status.REPORTED:
        m.reported(call)
    assert call.status is status
    m.abandon(call)
    m.abandon(call)
    sleeping = reported(m, "s", SLEEP)
    assert (m.is_blocked, m.park()) == (True, [sleeping.key])


def test_nothing_can_be_begun_after_the_end() -> None:
    """A closed machine takes no step: the shell has to look first."""
    m = machine()
    m.close()
    assert m.is_over
    with pytest.raises(AssertionError, match="after the end"):
        m.begin("a", RUN)


def done(id_: str, ended_at: int, state: StepState = StepState.COMPLETED) -> Entry:
    """A step that ended at that moment."""
    return Entry(f"{id_}#0", RUN, state, b"1", attempts=1, ended_at=ended_at)


def in_order(*journal: Entry) -> Machine:
    """A machine whose shell delivers."""
    return Machine(run_id="r1", epoch=1, journal=journal, steps_max=1000, in_order=True)


def test_results_are_given_in_the_order_of_their_ends() -> None:
    """None at once, whatever the code asks for first: other branches may be on their way to ask for an earlier one."""
    m = in_order(done("a", 30), done("b", 10), done("c", 20, StepState.FAILED))
    a, c, b = m.begin("a", RUN), m.begin("c", RUN), m.begin("b", RUN)
    assert {a.status, b.status, c.status} == {Status.BLOCKED}
    assert [m.deliver(), m.deliver(), m.deliver()] == [b, c, a]
    assert [a.status, b.status, c.status] == [Status.COMPLETED, Status.COMPLETED, Status.FAILED]
    assert not m.has_held
    assert list(m.live) == []


def test_ends_of_the_same_moment_are_given_as_the_journal_has_them() -> None:
    """And not as the code asks for them."""
    m = in_order(done("a", 10), done("b", 10))
    b, a = m.begin("b", RUN), m.begin("a", RUN)
    assert [m.deliver(), m.deliver()] == [a, b]


def test_a_run_is_not_parked_on_what_is_done() -> None:
    """A result that is not delivered counts as progress, beside whatever is blocked."""
    m = in_order(done("a", 10), Entry("s#0", SLEEP, StepState.PENDING, is_due_later=True))
    m.begin("s", SLEEP)
    assert m.is_blocked
    m.begin("a", RUN)
    assert not m.is_blocked
    m.deliver()
    assert m.is_blocked


def test_a_sequence_is_known_as_far_as_it_is_one() -> None:
    """One step is called, and it is the next in the journal; not if another is called, or if one before it is missing."""
    m = in_order(done("a", 10), done("b", 20), done("d", 40), done("c", 30))
    for id_ in "ab":
        m.begin(id_, RUN)
        assert m.is_lone
        m.deliver()
    m.begin("d", RUN)
    assert not m.is_lone
    m.begin("c", RUN)
    assert not m.is_lone


def test_what_is_never_asked_for_holds_nothing_for_ever() -> None:
    """The code has changed: once it is at rest, the others are delivered."""
    m = in_order(done("gone", 10), done("a", 20), done("b", 30))
    for id_ in "ab":
        assert m.begin(id_, RUN) is m.deliver()


def test_a_branch_that_is_cancelled_gives_up_its_turn() -> None:
    """What is held for it is forgotten, and nothing waits for it."""
    m = in_order(done("first", 10), done("loser", 20), done("next", 30))
    loser, first = m.begin("loser", RUN), m.begin("first", RUN)
    assert m.deliver() is first
    m.abandon(loser)
    m.abandon(loser)
    assert not m.has_held
    following = m.begin("next", RUN)
    assert m.is_lone
    assert m.deliver() is following


@pytest.mark.parametrize("entry", [None, DUE_AGAIN])
def test_a_body_waits_for_all_that_is_recorded(entry: Entry | None) -> None:
    """What was recorded may show that the step is not needed, as that of a race's loser: its body is not begun again."""
    m = in_order(done("first", 10), *([entry] if entry else []))
    call, first = m.begin("a", RUN), m.begin("first", RUN)
    assert call.status is Status.BLOCKED
    assert not m.is_blocked
    assert m.state is State.REPLAYING
    assert m.deliver() is first
    assert m.proceed() == [call]
    assert (call.status, call.attempts, m.state) == (Status.EXECUTE, entry.attempts if entry else 0, State.EXECUTING)
    m.reported(call)
    assert m.acked("a#0", AckStatus.COMMITTED) is call


def test_a_body_that_waits_may_turn_out_to_be_not_needed() -> None:
    """Its branch is cancelled: nothing is left of it."""
    m = in_order(done("first", 10))
    call = m.begin("a", RUN)
    m.begin("first", RUN)
    m.deliver()
    m.abandon(call)
    assert not m.has_postponed
    assert list(m.live) == []
    assert reported(m, "s", SLEEP).status is Status.BLOCKED
    assert m.is_blocked


def test_bodies_wait_once_for_results_that_nobody_asks_for() -> None:
    """Code that no longer calls a step that is recorded goes on as any other."""
    m = in_order(done("gone", 10))
    call = m.begin("a", RUN)
    assert m.proceed() == [call]
    assert m.begin("b", RUN).status is Status.EXECUTE


def test_after_all_that_is_recorded_bodies_begin_at_once() -> None:
    """And the code is no longer replayed once it has the last result."""
    m = in_order(done("a", 10))
    m.begin("a", RUN)
    assert m.state is State.REPLAYING
    m.deliver()
    assert m.state is State.EXECUTING
    assert m.begin("b", RUN).status is Status.EXECUTE


def test_what_is_held_needs_no_resolution() -> None:
    """One that comes twice changes nothing."""
    m = in_order(done("a", 10))
    call = m.begin("a", RUN)
    assert m.resolved(done("a", 10)) is None
    assert m.deliver() is call
