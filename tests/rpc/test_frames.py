"""Deliveries → frames: nothing lost, nothing in the wrong order, nothing too large."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.limits import KIB, SECOND
from controlplane.core.records import (
    Ack,
    AckStatus,
    Cancellation,
    EventRow,
    Failure,
    Invocation,
    JournalRow,
    Lease,
    Resolution,
    RunRow,
)
from controlplane.core.states import StepKind, StepState
from controlplane.engine.commands import Welcomed
from controlplane.engine.outbox import Delivery
from controlplane.engine.settings import Settings
from controlplane.rpc.frames import Frame, drain_frame, frames_of, weight_of, welcome_frame

NOW = 1_800_000_000 * SECOND
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LARGE = 1 << 30


def entry(key: str, output: bytes = b"1", **changed: Any) -> JournalRow:
    """A recorded step."""
    return JournalRow("r1", key, StepKind.RUN, StepState.COMPLETED, 1, output, "", None, NOW, NOW)._replace(**changed)


def invocation(run_id: str, journal: Iterable[JournalRow] = (), data: bytes = b"{}") -> Invocation:
    """An invocation, with a journal."""
    rows = tuple(journal)
    run = RunRow(
        run_id,
        "default",
        1,
        1,
        NOW,
        TRACE,
        "v=1",
        epoch=2,
        attempt=1,
        journal_bytes=sum(len(r.output or b"") for r in rows),
    )
    event = EventRow(1, "default", "e1", "shop/order.created", data, "", NOW, NOW, TRACE, "")
    return Invocation(run, "checkout", (event,), rows, 5)


def ack(key: str, entry_: JournalRow | None = None, run_id: str = "r1") -> Ack:
    """An ack, with the step as recorded."""
    return Ack(run_id, 2, key, AckStatus.COMMITTED, entry_)


def kinds(frames: Iterable[Frame]) -> list[str | None]:
    """What each frame carries."""
    return [frame.WhichOneof("frame") for frame in frames]


def test_a_delivery_is_sent_in_the_order_of_its_fields() -> None:
    """Acks first, since a worker may wait for them; work last."""
    delivery = Delivery(
        updates=[ack("a#0"), Resolution("r1", 2, entry("b#0"))],
        cancellations=[Cancellation("r2", 1, "by hand")],
        heartbeat_stop=[Lease("r3", 4)],
        invocations=[invocation("r4")],
        drained=7,
    )
    frames = list(frames_of([delivery], LARGE))
    assert kinds(frames) == ["acks", "resolutions", "cancellations", "heartbeat_ack", "invocations", "drain_ack"]
    acks, resolutions, cancellations, heartbeat, invocations, drained = frames
    assert (acks.acks.acks[0].step_key, acks.acks.acks[0].HasField("entry")) == ("a#0", False)
    assert resolutions.resolutions.resolutions[0].entry.step_key == "b#0"
    assert cancellations.cancellations.cancellations[0].reason == "by hand"
    assert [(one.run_id, one.epoch) for one in heartbeat.heartbeat_ack.stop] == [("r3", 4)]
    sent = invocations.invocations.invocations[0]
    assert (sent.run_id, sent.epoch, sent.function_id, sent.attempt, sent.attempts_max) == ("r4", 2, "checkout", 1, 5)
    assert (sent.traceparent, sent.tracestate, sent.events[0].id) == (TRACE, "v=1", "e1")
    assert drained.drain_ack.invocation_count == 7


def test_an_empty_answer_to_a_heartbeat_is_an_answer() -> None:
    """The worker waits for it."""
    (frame,) = frames_of([Delivery(heartbeat_stop=[])], LARGE)
    assert frame.WhichOneof("frame") == "heartbeat_ack"
    assert list(frames_of([Delivery()], LARGE)) == []


def test_deliveries_are_joined() -> None:
    """What gathered while a frame was on its way goes out in one frame a kind."""
    deliveries = [Delivery(updates=[ack(f"a#{i}")], invocations=[invocation(f"r{i}")]) for i in range(3)]
    deliveries[1].heartbeat_stop = [Lease("x", 1)]
    frames = list(frames_of(deliveries, LARGE))
    assert kinds(frames) == ["acks", "heartbeat_ack", "invocations"]
    assert [one.step_key for one in frames[0].acks.acks] == ["a#0", "a#1", "a#2"]
    assert [one.run_id for one in frames[2].invocations.invocations] == ["r0", "r1", "r2"]


def test_what_concerns_an_invocation_does_not_overtake_it() -> None:
    """A worker that is told to stop a run that it does not have yet would then start it."""
    for later in (
        Delivery(cancellations=[Cancellation("r1", 2, "by hand")]),
        Delivery(updates=[Resolution("r1", 2, entry("b#0"))]),
    ):
        frames = list(frames_of([Delivery(invocations=[invocation("r1")]), later], LARGE))
        assert kinds(frames)[0] == "invocations"
        assert len(frames) == 2


def test_steps_of_a_run_end_in_the_order_in_which_they_did() -> None:
    """A replay shows them in that of the journal; what became of other runs' steps shares the frames."""
    first = Delivery(updates=[ack("a#0"), Resolution("r1", 2, entry("b#0")), ack("c#0")])
    second = Delivery(updates=[Resolution("r2", 2, entry("d#0")), ack("e#0"), ack("f#0", run_id="r2")])
    frames = list(frames_of([first, second], LARGE))
    assert kinds(frames) == ["acks", "resolutions", "acks"]
    acks, resolutions, later = frames
    assert [one.step_key for one in acks.acks.acks] == ["a#0"]
    assert [one.entry.step_key for one in resolutions.resolutions.resolutions] == ["b#0", "d#0"]
    assert [one.step_key for one in later.acks.acks] == ["c#0", "e#0", "f#0"]


def test_nothing_is_sent_before_the_end_of_a_drain_that_came_after_it() -> None:
    """The count in the answer to a drain is of all invocations before it."""
    frames = frames_of([Delivery(invocations=[invocation("r1")], drained=1), Delivery(updates=[ack("a#0")])], LARGE)
    assert kinds(frames) == ["invocations", "drain_ack", "acks"]


def test_a_rejection_has_its_words() -> None:
    """Reason and message are set where something was rejected."""
    rejected = Ack("r1", 2, "a#0", AckStatus.REJECTED, None, "TOO_MANY_STEPS", "a run can have 1000 steps")
    (frame,) = frames_of([Delivery(updates=[rejected])], LARGE)
    (sent,) = frame.acks.acks
    assert (sent.status, sent.reason, sent.message) == (5, "TOO_MANY_STEPS", "a run can have 1000 steps")


def test_a_large_journal_comes_in_parts() -> None:
    """The invocation says how much follows, the parts follow at once, and the next invocation comes after them."""
    journal = [entry(f"s#{i}", b"x" * 4 * KIB) for i in range(20)]
    frames = list(frames_of([Delivery(invocations=[invocation("r1", journal), invocation("r2")])], 16 * KIB))
    assert kinds(frames)[0] == "invocations"
    assert set(kinds(frames)[1:-1]) == {"journal_part"}
    first = frames[0].invocations.invocations[0]
    parts = [frame.journal_part for frame in frames[1:-1]]
    assert {(part.run_id, part.epoch) for part in parts} == {("r1", 2)}
    received = [*first.journal, *(one for part in parts for one in part.entries)]
    assert [one.step_key for one in received] == [f"s#{i}" for i in range(20)]
    assert first.journal_remaining == 20 - len(first.journal)
    assert [one.run_id for one in frames[-1].invocations.invocations] == ["r2"]
    assert frames[-1].invocations.invocations[0].journal_remaining == 0


FRAME_BYTES = 8 * KIB
KEYS = st.text(st.characters(codec="utf-8"), max_size=20).map(lambda text: text + "#0")
ENTRIES = st.builds(
    lambda key, size, failure, ids: entry(key, b"x" * size, failure=failure, event_ids=tuple(ids)),
    KEYS,
    st.integers(0, FRAME_BYTES - 3 * KIB),
    st.none() | st.builds(Failure, st.text(max_size=30), st.text(max_size=100)),
    st.lists(st.text(max_size=64), max_size=3),
)
RUN_IDS = st.sampled_from(["r1", "r2"])
DELIVERIES = st.builds(
    Delivery,
    updates=st.lists(
        st.builds(ack, KEYS, st.none() | ENTRIES, RUN_IDS) | st.builds(Resolution, RUN_IDS, st.just(2), ENTRIES),
        max_size=8,
    ),
    cancellations=st.lists(st.builds(Cancellation, st.just("r1"), st.just(1), st.text(max_size=300)), max_size=3),
    invocations=st.lists(
        st.builds(
            lambda journal, size: invocation("r1", journal, b"x" * size),
            st.lists(ENTRIES, max_size=4),
            st.integers(0, FRAME_BYTES - 4 * KIB),
        ),
        max_size=4,
    ),
)


def _of_run(run_id: str, updates: Iterable[Any]) -> list[tuple[bool, str]]:
    """Whether each update of a run is an ack, and its step."""
    mine = [one for one in updates if one.run_id == run_id]
    return [(hasattr(one, "status"), one.step_key if hasattr(one, "status") else one.entry.step_key) for one in mine]


@settings(max_examples=200, deadline=None)
@given(st.lists(DELIVERIES, max_size=4))
def test_no_frame_is_too_large_and_nothing_is_lost(deliveries: list[Delivery]) -> None:
    """Whatever is delivered arrives, what became of a run's steps in its order, in frames within the limit."""
    told = [_of_run(run_id, (one for each in deliveries for one in each.updates)) for run_id in ("r1", "r2")]
    cancellations = [one.reason for delivery in deliveries for one in delivery.cancellations]
    journals = [[row.step_key for row in one.journal] for delivery in deliveries for one in delivery.invocations]
    assert all(weight_of(delivery) >= 0 for delivery in deliveries)

    frames = list(frames_of(deliveries, FRAME_BYTES))
    assert all(frame.ByteSize() <= FRAME_BYTES for frame in frames)
    sent = [one for frame in frames for one in (*frame.acks.acks, *frame.resolutions.resolutions)]
    assert [_of_run(run_id, sent) for run_id in ("r1", "r2")] == told
    assert [one.reason for frame in frames for one in frame.cancellations.cancellations] == cancellations
    received: list[list[str]] = []
    for frame in frames:
        for one in frame.invocations.invocations:
            assert not received or len(received[-1]) == len(journals[len(received) - 1])
            received.append([row.step_key for row in one.journal])
            assert len(one.journal) + one.journal_remaining == len(journals[len(received) - 1])
        for row in frame.journal_part.entries:
            received[-1].append(row.step_key)
    assert received == journals


def test_the_welcome_tells_every_limit() -> None:
    """An SDK refuses what is too large before it is sent."""
    terms = Settings()
    frame = welcome_frame(Welcomed("s1", (Lease("r1", 2),)), terms, "steplane/1")
    welcome = frame.welcome
    assert (welcome.session_id, welcome.server) == ("s1", "steplane/1")
    assert [(one.run_id, one.epoch) for one in welcome.resumed] == [("r1", 2)]
    assert welcome.heartbeat_interval.ToMicroseconds() == terms.heartbeat_interval
    assert welcome.session_timeout.ToMicroseconds() == terms.session_timeout
    for field in welcome.limits.DESCRIPTOR.fields:
        assert getattr(welcome.limits, field.name) == getattr(terms.limits, field.name) > 0


def test_a_drain_has_a_reason() -> None:
    """For people."""
    assert drain_frame("an update").drain.reason == "an update"
