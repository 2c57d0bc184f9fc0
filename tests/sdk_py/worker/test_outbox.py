"""What is kept until it is acknowledged, and what is sent when."""

from __future__ import annotations

import threading
from math import inf

from steplane.gen.steplane.v1 import work_pb2
from steplane.replay.journal import AckStatus, Entry, StepKind, StepState
from steplane.worker.outbox import IncomingAck, Lease, Outbox, OutgoingReport, OutgoingStream
from tests.sdk_py.peer import SECONDS_MAX

R1, R2, R3 = ("r1", 1), ("r2", 1), ("r3", 4)


def report(lease: Lease, step_key: str, *, attempt: int = 0) -> OutgoingReport:
    """A report; its bytes are a message that says what it is."""
    message = work_pb2.Report(run_id=lease[0], epoch=lease[1], step_key=step_key)
    message.step_completed.attempt = attempt
    return OutgoingReport(lease, step_key, message.SerializeToString())


def ack(lease: Lease, step_key: str, status: AckStatus = AckStatus.COMMITTED) -> IncomingAck:
    """An ack without an entry."""
    return IncomingAck(lease, step_key, status, "", None)


def retrying(lease: Lease, step_key: str, *, attempts: int) -> IncomingAck:
    """The ack of a try that failed."""
    entry = Entry(step_key, StepKind.RUN, StepState.RETRYING, attempts=attempts)
    return ack(lease, step_key)._replace(entry=entry)


def opened(outbox: Outbox, *resumed: Lease) -> OutgoingStream:
    """A stream that is welcome, and resumed these leases."""
    stream = outbox.open(b"hello", outbox.held)
    outbox.welcome(stream, resumed=resumed, frame_bytes_max=0, sure_until=inf)
    return stream


def sent(outbox: Outbox, stream: OutgoingStream) -> list[str]:
    """What goes out next, in words."""
    batch = outbox.take(stream)
    words = []
    for frame in batch.frames(1_000_000) if batch else ["closed"]:
        message = work_pb2.StreamWorkRequest.FromString(frame) if isinstance(frame, bytes) else None
        kind = message.WhichOneof("frame") if message else frame
        match kind:
            case "reports":
                words += [f"{r.run_id}/{r.step_key}" for r in message.reports.reports]
            case "credit":
                words.append(f"credit {message.credit.invocation_limit}")
            case "heartbeat":
                words.append(f"beat {[lease.run_id for lease in message.heartbeat.held]}")
            case "release":
                words.append(f"release {[lease.run_id for lease in message.release.leases]}")
            case _:
                words.append(kind)
    return words


def test_what_is_not_acknowledged_is_sent_again() -> None:
    """After a break, a new stream sends every report that has no ack yet, in order, and nothing else."""
    outbox = Outbox(5)
    stream = opened(outbox)
    outbox.received([R1, R2])
    outbox.put([report(R1, "a#0"), report(R1, "b#0"), report(R2, "a#0")])
    assert sent(outbox, stream) == ["r1/a#0", "r1/b#0", "r2/a#0", "credit 5"]
    outbox.acked([ack(R1, "a#0")])
    outbox.close(stream)
    outbox.put([report(R1, "c#0")])
    again = opened(outbox, R1, R2)
    assert sent(outbox, again) == ["r1/b#0", "r1/c#0", "r2/a#0", "credit 3"]
    assert outbox.take(stream) is None


def test_what_was_not_resumed_is_dropped() -> None:
    """A lease that the server gave to somebody else is lost, with its reports."""
    outbox = Outbox(5)
    stream = opened(outbox)
    outbox.received([R1, R2])
    outbox.put([report(R1, "a#0"), report(R2, "a#0")])
    outbox.close(stream)
    again = outbox.open(b"hello", outbox.held)
    assert outbox.welcome(again, resumed=[R2], frame_bytes_max=0, sure_until=inf) == [R1]
    assert sent(outbox, again) == ["r2/a#0", "credit 3"]
    assert outbox.held == [R2]
    outbox.put([report(R1, "b#0"), report(R2, "b#0")])
    assert sent(outbox, again) == ["r2/b#0"]


def test_nothing_but_the_hello_goes_before_the_welcome() -> None:
    """A stream carries nothing until the server answered its hello."""
    outbox = Outbox(5)
    stream = outbox.open(b"hello", [])
    frames = iter(stream)
    assert next(frames) == b"hello"
    outbox.beat(sure_until=inf)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(next(frames)))
    reader.start()
    assert not taken
    outbox.welcome(stream, resumed=[], frame_bytes_max=0, sure_until=inf)
    reader.join(SECONDS_MAX)
    assert work_pb2.StreamWorkRequest.FromString(taken[0]).WhichOneof("frame") == "heartbeat"


def test_a_lease_is_held_from_its_arrival_to_the_ack_of_its_outcome() -> None:
    """Heartbeats list it all the while, also after the outcome was reported."""
    outbox = Outbox(5)
    stream = opened(outbox)
    outbox.received([R1, R3])
    outbox.put([report(R1, "")], slots_freed=1)
    outbox.beat(sure_until=inf)
    assert sent(outbox, stream) == ["beat ['r1', 'r3']", "r1/", "credit 6"]
    assert outbox.acked([ack(R1, "")]) == []
    outbox.beat(sure_until=inf)
    assert sent(outbox, stream) == ["beat ['r3']"]


def test_what_comes_while_a_frame_is_written_is_sent_once() -> None:
    """A batch stays as it was taken: reports that are put in before all of its frames are out belong to the next one."""
    outbox = Outbox(5)
    stream = opened(outbox)
    assert sent(outbox, stream) == ["credit 5"]
    outbox.received([R1])
    outbox.beat(sure_until=inf)
    batch = outbox.take(stream)
    assert batch is not None
    outgoing = batch.frames(1_000_000)
    next(outgoing)
    outbox.put([report(R1, "a#0")])
    assert list(outgoing) == []
    assert sent(outbox, stream) == ["r1/a#0"]


def test_acks_that_somebody_waits_for_are_passed_on() -> None:
    """Steps' acks are, and outcomes that were refused; an outcome that is on disk ends the matter."""
    outbox = Outbox(5)
    opened(outbox)
    outbox.received([R1, R2])
    outbox.put([report(R1, "a#0"), report(R1, ""), report(R2, "")])
    acks = [
        ack(R1, "a#0"),
        ack(R1, "", AckStatus.DUPLICATE),
        ack(R2, "", AckStatus.REJECTED),
        ack(R3, "", AckStatus.STALE_EPOCH),
    ]
    assert outbox.acked(acks) == [acks[0], acks[2], acks[3]]
    assert outbox.held == [R2]


def test_an_ack_counts_once() -> None:
    """A report that was answered is answered, whatever comes again."""
    outbox = Outbox(5)
    opened(outbox)
    outbox.received([R1])
    outbox.put([report(R1, "a#0")])
    assert outbox.acked([ack(R1, "a#0"), ack(R1, "a#0", AckStatus.DUPLICATE)]) == [ack(R1, "a#0")]
    assert outbox.acked([ack(R1, "b#0"), ack(R1, "b#0", AckStatus.REJECTED), ack(R1, "")]) == []
    assert outbox.held == [R1]


def test_the_ack_of_an_earlier_try_answers_no_later_one() -> None:
    """It may come again, and late; the report of the later try is kept, and sent again."""
    outbox = Outbox(5)
    stream = opened(outbox)
    outbox.received([R1])
    outbox.put([report(R1, "a#0", attempt=1)])
    assert outbox.acked([retrying(R1, "a#0", attempts=1)]) == [retrying(R1, "a#0", attempts=1)]
    outbox.put([report(R1, "a#0", attempt=2)])
    assert outbox.acked([retrying(R1, "a#0", attempts=1)]) == []
    outbox.close(stream)
    again = opened(outbox, R1)
    assert sent(outbox, again) == ["r1/a#0", "credit 4"]
    assert outbox.acked([retrying(R1, "a#0", attempts=2)]) == [retrying(R1, "a#0", attempts=2)]


def test_what_was_not_sent_of_a_lost_lease_is_not_sent_any_more() -> None:
    """Its reports would only be refused; those of other leases stay."""
    outbox = Outbox(5)
    stream = opened(outbox)
    outbox.received([R1, R2])
    outbox.put([report(R1, "a#0"), report(R2, "a#0"), report(R1, "b#0")])
    outbox.forget(R1)
    assert sent(outbox, stream) == ["r2/a#0", "credit 5"]


def test_the_same_lease_twice_takes_one_slot() -> None:
    """A delivery that was repeated is no second invocation."""
    outbox = Outbox(2)
    stream = opened(outbox)
    assert sent(outbox, stream) == ["credit 2"]
    outbox.received([R1])
    outbox.received([R1])
    outbox.put([report(R1, "")], slots_freed=1)
    assert sent(outbox, stream) == ["r1/", "credit 4"]


def test_released_leases_are_no_longer_held() -> None:
    """What is handed back is told once, and free; what is not held can't be handed back."""
    outbox = Outbox(2)
    stream = opened(outbox)
    outbox.received([R1])
    outbox.release([R1, R2], slots_freed=1)
    assert sent(outbox, stream) == ["release ['r1']", "credit 3"]
    assert outbox.held == []


def test_draining_is_asked_for_on_every_stream() -> None:
    """A worker that drains grants no credit, and says so again when it had to reconnect."""
    outbox = Outbox(2)
    stream = opened(outbox)
    outbox.received([R1])
    outbox.drain(stream)
    assert sent(outbox, stream) == ["drain"]
    outbox.close(stream)
    again = opened(outbox, R1)
    assert sent(outbox, again) == ["drain"]
    assert not outbox.is_drained
    outbox.forget(R1)
    assert outbox.is_drained


def test_a_server_that_goes_away_gets_no_credit() -> None:
    """Reports still go to it; invocations are not asked for."""
    outbox = Outbox(2)
    stream = opened(outbox)
    assert sent(outbox, stream) == ["credit 2"]
    outbox.stop_credit(stream)
    outbox.received([R1, R2])
    outbox.put([report(R1, ""), report(R2, "")], slots_freed=2)
    assert sent(outbox, stream) == ["r1/", "r2/"]


def test_a_stream_that_ends_sends_what_is_there() -> None:
    """It is closed from this side once all was sent."""
    outbox = Outbox(2)
    stream = opened(outbox)
    outbox.received([R1])
    outbox.put([report(R1, "a#0")])
    outbox.end(stream)
    assert sent(outbox, stream) == ["r1/a#0"]
    assert sent(outbox, stream) == ["closed"]


def test_only_what_is_still_held_is_sure() -> None:
    """From the moment of a welcome: what it does not resume may be somebody else's, and without a stream all may be."""
    outbox = Outbox(4)
    stream = opened(outbox)
    outbox.received([R1, R2])
    assert outbox.is_sure(R1)
    outbox.close(stream)
    assert not outbox.is_sure(R1)
    again = outbox.open(b"hello", outbox.held)
    assert not outbox.is_sure(R2)
    outbox.welcome(again, resumed=[R2], frame_bytes_max=0, sure_until=inf)
    assert (outbox.is_sure(R1), outbox.is_sure(R2)) == (False, True)
    outbox.beat(sure_until=0)
    assert not outbox.is_sure(R2)
