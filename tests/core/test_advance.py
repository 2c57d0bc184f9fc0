"""What reports, timers and cancellations do to a run."""

from __future__ import annotations

import pytest

from controlplane.core import advance, lifecycle
from controlplane.core.decision import Decision
from controlplane.core.ids import child_event_id, step_span_id
from controlplane.core.limits import SECOND
from controlplane.core.reasons import Reason
from controlplane.core.records import (
    AckStatus,
    Cancellation,
    Failure,
    JournalRow,
    NewEvent,
    Report,
    ReportKind,
    Resolution,
    RunRow,
    TimerKind,
    TimerRow,
)
from controlplane.core.states import ENDED, IllegalTransition, RunState, StepKind, StepState
from tests.core.decisions import decision
from tests.store.rows import FAILURE, NOW, TRACE, entry, run

RUN = "01JD0000000000000000000001"
RUNNING = run(RUN, state=RunState.RUNNING, epoch=3, deliveries=2, session_id="s1", started_at=NOW - 9)
DELAY = 10 * SECOND
LATER = NOW + DELAY
RETRYING = entry(
    RUN,
    state=StepState.RETRYING,
    output=None,
    output_encoding="",
    failure=FAILURE,
    started_at=NOW - 5,
    ended_at=None,
    due_at=LATER,
)
ASLEEP = JournalRow(RUN, "nap#0", StepKind.SLEEP, StepState.PENDING, started_at=NOW, due_at=LATER)


def report(kind: ReportKind, step_key: str = "", **fields: object) -> Report:
    """A report on the run."""
    return Report(kind, RUN, 3, step_key)._replace(**fields)  # type: ignore[arg-type]  # checked by _replace itself


def done(report: Report, *rows: RunRow | JournalRow) -> tuple[Decision, RunRow, JournalRow | None]:
    """The turn after an accepted report, the run as it stands, and the entry that the ack carries."""
    d = decision(*(rows or (RUNNING,)))
    ack = advance.carry_out(d, report, d.runs[RUN])
    assert (RUN, 3, report.step_key, AckStatus.COMMITTED) == ack[:4]
    assert {RUN} == d.changed_runs
    return d, d.runs[RUN], ack.entry


def assert_nothing_more(d: Decision, *, timers: list[TimerRow] | None = None) -> None:
    """No timer but these, no event, nobody woken."""
    assert (timers or []) == d.new_timers
    assert not any((d.incoming, d.updates, d.cancellations, d.done_timers, d.new_runs))


def test_a_completed_step_is_recorded() -> None:
    """Its output counts to the journal's size, and the run is known to live."""
    d, after, told = done(report(ReportKind.STEP_COMPLETED, "load#0", output=b"12345", encoding="json", started_at=7))

    expected = JournalRow(RUN, "load#0", StepKind.RUN, StepState.COMPLETED, 1, b"12345", "json", None, 7, NOW)
    assert {(RUN, "load#0"): expected} == d.new_entries
    assert RUNNING._replace(step_count=1, journal_bytes=5, deliveries=0) == after
    assert told is None
    assert d.changed_entries == {}
    assert_nothing_more(d)


def test_a_step_that_failed_before_can_complete() -> None:
    """Its tries are counted, it began with the first of them, and its failure is forgotten."""
    d, after, _ = done(
        report(ReportKind.STEP_COMPLETED, "load#0", output=b"12", encoding="json", started_at=7),
        RUNNING._replace(step_count=1, journal_bytes=4),
        RETRYING,
    )

    expected = JournalRow(RUN, "load#0", StepKind.RUN, StepState.COMPLETED, 2, b"12", "json", None, NOW - 5, NOW)
    assert {(RUN, "load#0"): expected} == d.changed_entries
    assert d.new_entries == {}
    assert (after.step_count, after.journal_bytes) == (1, 6)
    assert_nothing_more(d)


def test_a_failed_step_is_tried_again() -> None:
    """The worker is told when, and a timer is set."""
    d, after, told = done(report(ReportKind.STEP_FAILED, "load#0", failure=FAILURE, started_at=7))

    expected = JournalRow(RUN, "load#0", StepKind.RUN, StepState.RETRYING, 1, None, "", FAILURE, 7, None, LATER)
    assert expected == told == d.new_entries[RUN, "load#0"]
    assert RUNNING._replace(step_count=1, has_timers=True, deliveries=0) == after
    assert_nothing_more(d, timers=[TimerRow(LATER, TimerKind.STEP, RUN, "load#0")])


@pytest.mark.parametrize(
    ("before", "wishes"),
    [(RETRYING, {}), (None, {"retry_never": True}), (RETRYING, {"retry_after": SECOND})],
)
def test_a_step_fails_for_good(before: JournalRow | None, wishes: dict[str, object]) -> None:
    """Its tries are used up, or the error says never; the run goes on, and it is the function that decides."""
    rows = (RUNNING, before) if before else (RUNNING,)
    d, after, told = done(report(ReportKind.STEP_FAILED, "load#0", failure=FAILURE, **wishes), *rows)

    assert told is not None
    assert (told.state, told.failure, told.ended_at, told.due_at) == (StepState.FAILED, FAILURE, NOW, None)
    assert (2 if before else 1) == told.attempts
    assert RunState.RUNNING is after.state
    assert_nothing_more(d)


SLEEPS = [
    ({"sleep_for": DELAY}, LATER, False),
    ({"sleep_until": LATER}, LATER, False),
    ({"sleep_for": 0}, NOW, True),
    ({"sleep_until": NOW}, NOW, True),
    ({"sleep_until": NOW - 5}, NOW - 5, True),
    ({"sleep_until": NOW + 1}, NOW + 1, False),
]


@pytest.mark.parametrize(("until", "due_at", "is_over"), SLEEPS)
def test_a_sleep_begins(until: dict[str, object], due_at: int, is_over: bool) -> None:
    """The server's clock counts; a moment that has come already sets no timer."""
    d, after, told = done(report(ReportKind.SLEEP_STARTED, "nap#0", **until))

    state, ended_at = (StepState.COMPLETED, NOW) if is_over else (StepState.PENDING, None)
    expected = JournalRow(RUN, "nap#0", StepKind.SLEEP, state, started_at=NOW, ended_at=ended_at, due_at=due_at)
    assert expected == told == d.new_entries[RUN, "nap#0"]
    assert RUNNING._replace(step_count=1, has_timers=not is_over, deliveries=0) == after
    assert_nothing_more(d, timers=[] if is_over else [TimerRow(due_at, TimerKind.STEP, RUN, "nap#0")])


def test_a_step_sends_events_as_it_is_recorded() -> None:
    """The events come in with the step (guarantee 4): with derived ids, and as children of the step's span."""
    events = (NewEvent("", "a", b"1", "", None, "", ""), NewEvent("mine", "b", b"2", "raw", 5, "ignored", "ignored"))
    before = RUNNING._replace(namespace="other", tracestate="vendor=1")
    d, after, told = done(report(ReportKind.EVENTS_SENT, "notify#0", events=events, started_at=7), before)

    (incoming,) = d.incoming
    child = f"{TRACE[:36]}{step_span_id(RUN, 'notify#0')}-01"
    derived = child_event_id(RUN, "notify#0", 0)
    assert (
        incoming.namespace,
        incoming.source_run_id,
        incoming.source_step_key,
        incoming.function,
    ) == ("other", RUN, "notify#0", None)
    assert (
        NewEvent(derived, "a", b"1", "", None, child, "vendor=1"),
        NewEvent("mine", "b", b"2", "raw", 5, child, "vendor=1"),
    ) == incoming.events
    expected = JournalRow(
        RUN,
        "notify#0",
        StepKind.SEND_EVENTS,
        StepState.COMPLETED,
        1,
        started_at=7,
        ended_at=NOW,
        event_ids=(derived, "mine"),
    )
    assert expected == told == d.new_entries[RUN, "notify#0"]
    assert before._replace(step_count=1, deliveries=0) == after
    assert d.new_timers == []


@pytest.mark.parametrize("has_timers", [True, False])
def test_a_run_completes(has_timers: bool) -> None:
    """It keeps its output, gives back its lease, and loses its timers and the failure of an earlier try."""
    before = RUNNING._replace(has_timers=has_timers, failure=FAILURE, attempt=1)
    d, after, told = done(report(ReportKind.RUN_COMPLETED, output=b"5", encoding="json"), before)

    assert (
        before._replace(
            state=RunState.COMPLETED, session_id=None, ended_at=NOW, output=b"5", output_encoding="json", failure=None
        )
        == after
    )
    assert told is None
    assert ([RUN] if has_timers else []) == d.cleared
    assert_nothing_more(d)


def test_a_body_that_failed_is_tried_again() -> None:
    """The run waits for its moment, and shows why."""
    d, after, _ = done(report(ReportKind.RUN_FAILED, failure=FAILURE))

    assert (
        RUNNING._replace(
            state=RunState.WAITING,
            attempt=1,
            failure=FAILURE,
            session_id=None,
            due_at=LATER,
            has_timers=True,
            deliveries=0,
        )
        == after
    )
    assert d.cleared == []
    assert_nothing_more(d, timers=[TimerRow(LATER, TimerKind.RUN, RUN)])


@pytest.mark.parametrize(("attempt", "never"), [(1, False), (0, True)])
def test_a_body_fails_for_good(attempt: int, never: bool) -> None:
    """Its tries are used up, or the error says never."""
    before = RUNNING._replace(attempt=attempt, has_timers=True)
    d, after, _ = done(report(ReportKind.RUN_FAILED, failure=FAILURE, retry_never=never), before)

    assert (
        before._replace(state=RunState.FAILED, attempt=attempt + 1, failure=FAILURE, session_id=None, ended_at=NOW)
        == after
    )
    assert d.cleared == [RUN]
    assert_nothing_more(d)


def test_a_blocked_run_is_parked() -> None:
    """It holds neither lease nor slot, and is due with the first of what it waits for."""
    soon = RETRYING._replace(step_key="soon#0", due_at=NOW + 1)
    d, after, _ = done(report(ReportKind.RUN_PARKED, blocked_by=("nap#0", "soon#0")), RUNNING, ASLEEP, soon)

    assert RUNNING._replace(state=RunState.WAITING, session_id=None, due_at=NOW + 1, deliveries=0) == after
    assert_nothing_more(d)


@pytest.mark.parametrize(
    "met",
    [
        ASLEEP._replace(state=StepState.COMPLETED, ended_at=NOW),
        ASLEEP._replace(kind=StepKind.RUN, state=StepState.RETRYING, due_at=None),
    ],
)
def test_a_run_that_is_blocked_no_more_is_queued_again(met: JournalRow) -> None:
    """What it waits for came while it said so: it goes on at once, in its old place."""
    other = ASLEEP._replace(step_key="other#0")
    d, after, _ = done(report(ReportKind.RUN_PARKED, blocked_by=("other#0", "nap#0")), RUNNING, other, met)

    assert RUNNING._replace(state=RunState.QUEUED, session_id=None, deliveries=0) == after
    assert_nothing_more(d)


def test_a_run_is_not_parked_on_a_step_that_is_not_there() -> None:
    """Nothing would ever wake it, and to queue it again would go on for ever: the worker is told, and can fail it."""
    d = decision(RUNNING, ASLEEP)
    ack = advance.carry_out(d, report(ReportKind.RUN_PARKED, blocked_by=("nap#0", "never#0")), RUNNING)

    assert not d.changed_runs
    assert ack.status is AckStatus.REJECTED
    assert ack.reason == "UNKNOWN_STEP"
    assert_nothing_more(d)


@pytest.mark.parametrize("kind", [ReportKind.RUN_COMPLETED, ReportKind.RUN_FAILED, ReportKind.RUN_PARKED])
@pytest.mark.parametrize("state", ENDED)
def test_a_run_that_ended_can_do_nothing(kind: ReportKind, state: RunState) -> None:
    """What `judge` should have refused is refused here again."""
    with pytest.raises(IllegalTransition):
        done(report(kind, failure=FAILURE), RUNNING._replace(state=state))


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING, RunState.WAITING])
def test_a_run_is_cancelled(state: RunState) -> None:
    """Whatever it does it ends; only a live invocation has to be told."""
    session_id = "s1" if state is RunState.RUNNING else None
    before = RUNNING._replace(state=state, session_id=session_id, has_timers=True, due_at=LATER)
    d = decision(before)
    lifecycle.cancel(d, before, "too late")

    assert (
        before._replace(
            state=RunState.CANCELLED,
            session_id=None,
            due_at=None,
            ended_at=NOW,
            failure=Failure("Cancelled", "too late", reason=Reason.CANCELLED),
        )
        == d.runs[RUN]
    )
    assert ([("s1", Cancellation(RUN, 3, "too late"))] if session_id else []) == d.cancellations
    assert d.cleared == [RUN]


STEP_TIMER = TimerRow(LATER, TimerKind.STEP, RUN, "nap#0")
TRY_TIMER = TimerRow(LATER, TimerKind.STEP, RUN, "load#0")
RUN_TIMER = TimerRow(LATER, TimerKind.RUN, RUN)
WAITING = RUNNING._replace(state=RunState.WAITING, session_id=None, due_at=LATER)
SLEPT = ASLEEP._replace(state=StepState.COMPLETED, ended_at=LATER)
FREE_TO_TRY = RETRYING._replace(due_at=None)


def fired(timer: TimerRow, *rows: RunRow | JournalRow) -> Decision:
    """The turn after a timer fired, in its moment."""
    d = decision(*rows, now=LATER)
    if timer.kind is TimerKind.STEP:
        advance.wake_step(d, timer)
    else:
        advance.wake_run(d, timer)
    return d


@pytest.mark.parametrize(("timer", "step", "awake"), [(STEP_TIMER, ASLEEP, SLEPT), (TRY_TIMER, RETRYING, FREE_TO_TRY)])
def test_a_step_wakes_its_run(timer: TimerRow, step: JournalRow, awake: JournalRow) -> None:
    """A parked run is queued, at the end of the queue; a live one is told; a queued one will find it in its journal."""
    parked = fired(timer, WAITING, step)
    assert WAITING._replace(state=RunState.QUEUED, queued_at=LATER, due_at=None) == parked.runs[RUN]
    assert [awake] == list(parked.changed_entries.values())
    assert parked.updates == []

    live = fired(timer, RUNNING, step)
    assert [("s1", Resolution(RUN, 3, awake))] == live.updates
    assert set() == live.changed_runs
    assert [awake] == list(live.changed_entries.values())

    queued = fired(timer, RUNNING._replace(state=RunState.QUEUED, session_id=None), step)
    assert queued.updates == []
    assert set() == queued.changed_runs
    assert [awake] == list(queued.changed_entries.values())


NOTHING: list[tuple[TimerRow, list[RunRow | JournalRow]]] = [
    (STEP_TIMER, []),  # the run was deleted
    (STEP_TIMER, [WAITING]),
    (STEP_TIMER, [WAITING._replace(state=RunState.CANCELLED), ASLEEP]),
    (TRY_TIMER, [WAITING, RETRYING._replace(due_at=LATER + 1)]),  # it failed again since
    (TRY_TIMER, [RUNNING, RETRYING._replace(state=StepState.COMPLETED, due_at=None)]),
    (RUN_TIMER, []),
    (RUN_TIMER, [RUNNING]),
    (RUN_TIMER, [WAITING._replace(due_at=LATER + 1)]),
    (RUN_TIMER, [WAITING._replace(state=RunState.QUEUED, due_at=None)]),
    (RUN_TIMER, [WAITING._replace(state=RunState.FAILED)]),
]


@pytest.mark.parametrize(("timer", "rows"), NOTHING)
def test_a_timer_that_nothing_waits_for_does_nothing(timer: TimerRow, rows: list[RunRow | JournalRow]) -> None:
    """A timer may be late, or left over: it changes only what still waits for this very moment."""
    d = fired(timer, *rows)

    assert not any((d.changed_runs, d.changed_entries, d.new_entries, d.updates, d.new_timers))


def test_a_body_is_tried_again_in_its_moment() -> None:
    """A run that backed off is queued."""
    d = fired(RUN_TIMER, WAITING._replace(failure=FAILURE))

    assert WAITING._replace(state=RunState.QUEUED, queued_at=LATER, due_at=None, failure=FAILURE) == d.runs[RUN]


def test_a_sleep_does_not_shorten_the_back_off() -> None:
    """A sleep of the try before ends while the body waits for its next try: recorded, but the run waits on."""
    d = fired(STEP_TIMER, WAITING._replace(due_at=LATER + 1, failure=FAILURE), ASLEEP)

    assert set() == d.changed_runs
    assert list(d.changed_entries.values()) == [SLEPT]


def test_a_lease_ends_without_an_outcome() -> None:
    """The run keeps its place, its attempts, and the count of its deliveries."""
    d = decision(RUNNING)
    lifecycle.free(d, RUNNING)

    assert RUNNING._replace(state=RunState.QUEUED, session_id=None) == d.runs[RUN]
