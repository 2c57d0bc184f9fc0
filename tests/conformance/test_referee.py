"""The referee: each rule is found broken, and nothing is that a worker may have sent in ignorance."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from conformance.referee import Referee
from conformance.seen import Lease
from controlplane.gen.steplane.v1 import run_pb2, work_pb2

SLOTS = 2
LEASE = {"run_id": "r", "epoch": 1}
NOW = Timestamp(seconds=1)
COMMITTED, STALE = work_pb2.ACK_STATUS_COMMITTED, work_pb2.ACK_STATUS_STALE_EPOCH


class Stream:
    """A stream of a worker, with what it says and hears."""

    def __init__(self, referee: Referee | None = None, *, worker: int = 1, instance: str = "w", held: Any = ()) -> None:
        self.referee = referee or Referee(SLOTS)
        self.seen = self.referee.opened(worker)
        self.says(hello=work_pb2.Hello(instance_id=instance, held=held))
        self.hears(welcome=work_pb2.Welcome(resumed=held, limits={"frame_bytes_max": 1_000}))

    def says(self, size: int = 1, **frame: Any) -> list[Lease]:
        """The worker sends a frame; what it lacks of what was lost."""
        return self.referee.sent(self.seen, work_pb2.StreamWorkRequest(**frame), size)

    def hears(self, **frame: Any) -> None:
        """The worker is told a frame."""
        self.referee.told(self.seen, work_pb2.StreamWorkResponse(**frame))

    def is_given(self, *journal: run_pb2.JournalEntry, epoch: int = 1) -> Stream:
        """An invocation comes."""
        invocation = work_pb2.Invocation(run_id="r", epoch=epoch, function_id="f", journal=journal)
        self.hears(invocations=work_pb2.Invocations(invocations=[invocation]))
        return self

    def reports(self, key: str = "", *, epoch: int = 1, started: bool = True, **body: Any) -> None:
        """The worker reports."""
        start = NOW if started else None
        report = work_pb2.Report(run_id="r", epoch=epoch, step_key=key, start_time=start, **body)
        self.says(reports=work_pb2.Reports(reports=[report]))

    def does(self, key: str, *, attempt: int = 1, epoch: int = 1, output: bytes = b"1") -> None:
        """The worker reports a body that returned."""
        completed = work_pb2.StepCompleted(attempt=attempt)
        completed.output.data = output
        self.reports(key, epoch=epoch, step_completed=completed)

    def parks(self, *keys: str) -> None:
        """The worker parks the run."""
        self.reports(run_parked=work_pb2.RunParked(blocked_by=keys))

    def ends(self) -> None:
        """The worker reports that the function returned."""
        self.reports(run_completed=work_pb2.RunCompleted())

    def is_acked(self, key: str = "", *, status: Any = COMMITTED, entry: run_pb2.JournalEntry | None = None) -> None:
        """An ack comes."""
        ack = work_pb2.Ack(run_id="r", epoch=1, step_key=key, status=status, entry=entry)
        self.hears(acks=work_pb2.Acks(acks=[ack]))

    def is_resolved(self, key: str) -> None:
        """A resolution comes."""
        resolution = work_pb2.Resolution(run_id="r", epoch=1, entry=over(key))
        self.hears(resolutions=work_pb2.Resolutions(resolutions=[resolution]))

    def is_cancelled(self) -> None:
        """A cancellation comes."""
        self.hears(cancellations=work_pb2.Cancellations(cancellations=[work_pb2.Cancellation(**LEASE)]))

    def beats(self, *, held: bool) -> list[Lease]:
        """The worker sends a heartbeat."""
        leases = [work_pb2.Lease(**LEASE)] if held else []
        return self.says(heartbeat=work_pb2.Heartbeat(held=leases))

    @property
    def problems(self) -> list[str]:
        """All that was found, of the run and of the worker."""
        return [*self.referee.problems_of("r"), *self.referee.problems_of("")]


def over(key: str) -> run_pb2.JournalEntry:
    """A step that is over."""
    return run_pb2.JournalEntry(step_key=key, kind=run_pb2.STEP_KIND_SLEEP, state=run_pb2.STEP_STATE_COMPLETED)


def failed_once(key: str) -> run_pb2.JournalEntry:
    """A step that is to be tried again."""
    return run_pb2.JournalEntry(step_key=key, kind=run_pb2.STEP_KIND_RUN, state=run_pb2.STEP_STATE_RETRYING, attempts=1)


# What a worker may do.


def test_a_run_without_faults_has_no_problem() -> None:
    """Steps, a retry, a sleep, a park, and a second lease with the journal."""
    stream = Stream().is_given()
    stream.says(credit=work_pb2.Credit(invocation_limit=3))
    stream.reports("a#0", step_failed=work_pb2.StepFailed(attempt=1))
    stream.is_acked("a#0", entry=failed_once("a#0"))
    stream.does("a#0", attempt=2)
    stream.beats(held=True)
    stream.is_acked("a#0")
    stream.reports("nap#0", sleep_started=work_pb2.SleepStarted())
    stream.parks("nap#0")
    stream.is_acked("nap#0")
    stream.is_acked()
    stream.is_given(over("a#0"), over("nap#0"), epoch=2)
    stream.does("b#0", epoch=2)
    assert stream.problems == []


def test_a_report_may_be_sent_again_on_each_stream() -> None:
    """The very same bytes are the very same report, whatever its ack says."""
    stream = Stream().is_given()
    stream.does("a#0")
    stream.is_acked("a#0")
    again = Stream(stream.referee, held=[work_pb2.Lease(**LEASE)])
    again.does("a#0")
    assert again.problems == []
    assert again.referee.reports_of("r") == {"a#0": 1}


def test_a_report_may_cross_the_loss_of_its_lease() -> None:
    """Until a worker shows that it has heard."""
    stream = Stream().is_given()
    stream.does("a#0")
    stream.is_acked("a#0", status=STALE)
    stream.beats(held=True)
    stream.does("b#0")
    stream.beats(held=False)
    stream.does("c#0")
    assert stream.problems == []


def test_a_park_may_cross_a_resolution() -> None:
    """And it may come after an ack that was told before the resolution."""
    stream = Stream().is_given()
    stream.reports("nap#0", sleep_started=work_pb2.SleepStarted())
    stream.does("a#0")
    stream.is_acked("a#0")
    stream.is_resolved("nap#0")
    stream.parks("nap#0")
    assert stream.problems == []


def test_a_resolution_of_a_broken_stream_may_not_have_come() -> None:
    """What is known is what was told on the stream on which the run is parked."""
    stream = Stream().is_given()
    stream.reports("nap#0", sleep_started=work_pb2.SleepStarted())
    stream.does("a#0")
    stream.is_resolved("nap#0")
    again = Stream(stream.referee, held=[work_pb2.Lease(**LEASE)])
    again.does("a#0")
    again.is_acked("a#0")
    again.parks("nap#0")
    assert again.problems == []


def test_one_heartbeat_may_lack_a_lease() -> None:
    """It may have been made before the invocation came."""
    stream = Stream().is_given()
    stream.does("a#0")
    stream.beats(held=False)
    stream.beats(held=True)
    stream.beats(held=False)
    stream.does("b#0")
    stream.beats(held=False)
    assert stream.problems == []


def test_another_worker_knows_nothing_of_what_the_first_was_told() -> None:
    """A step may be executed twice if its report got lost; what a frozen process still sends is of its own lease."""
    first = Stream().is_given()
    second = Stream(first.referee, worker=2, instance="v").is_given(epoch=2)
    second.does("a#0", epoch=2)
    second.is_acked("a#0")
    first.does("a#0", output=b"2")
    assert first.problems == []


def test_a_lease_that_was_lost_is_forgotten_once() -> None:
    """The heartbeat that lacks it first says so."""
    stream = Stream().is_given()
    stream.is_cancelled()
    assert stream.beats(held=True) == []
    assert stream.beats(held=False) == [("r", 1)]
    assert stream.beats(held=False) == []


# What it may not.


def test_the_first_frame_is_a_hello() -> None:
    """And no other is."""
    stream = Stream()
    stream.says(hello=work_pb2.Hello(instance_id="w"))
    assert "only that, is a hello; this is hello" in stream.problems[0]


def test_a_frame_has_content_and_fits() -> None:
    """The welcome says how large it may be."""
    stream = Stream()
    stream.says()
    stream.says(1_001, drain=work_pb2.Drain())
    assert stream.problems == ["a frame without content", "a frame has 1001 bytes; the welcome said 1000 at the most"]


def test_an_instance_is_one_process() -> None:
    """It has its id for life, and for itself."""
    stream = Stream()
    Stream(stream.referee, instance="v")
    Stream(stream.referee, worker=2, instance="w")
    assert stream.problems == [
        "a worker has the same instance_id on each of its streams",
        "two worker processes have the same instance_id",
    ]


def test_a_hello_has_all_leases() -> None:
    """Of which reports are not acknowledged."""
    stream = Stream().is_given()
    stream.does("a#0")
    Stream(stream.referee)
    assert stream.problems == ["the hello lacks epoch 1, of which reports are not acknowledged"]


def test_credit_is_cumulative() -> None:
    """It never goes down, and is what was received and the slots."""
    stream = Stream().is_given()
    stream.says(credit=work_pb2.Credit(invocation_limit=SLOTS + 2))
    stream.says(credit=work_pb2.Credit(invocation_limit=SLOTS))
    assert stream.problems == ["credit of 4 after 1 invocations, with 2 slots", "credit went down from 4 to 2"]


def test_heartbeats_have_all_leases() -> None:
    """Two that lack one are too many, until its outcome is acknowledged."""
    stream = Stream().is_given()
    stream.ends()
    stream.beats(held=False)
    stream.beats(held=False)
    stream.is_acked()
    stream.beats(held=False)
    assert stream.problems == ["two heartbeats lack epoch 1, which is held"]


def test_what_is_lost_is_not_reported_on() -> None:
    """Once the worker shows that it heard: by its heartbeats, by a release of its own, or by a hello."""
    stream = Stream().is_given()
    stream.is_cancelled()
    stream.beats(held=False)
    stream.beats(held=False)
    stream.does("a#0")
    stream.says(release=work_pb2.Release(leases=[work_pb2.Lease(**LEASE)]))
    stream.does("b#0")
    Stream(stream.referee).does("c#0")
    told = "\n".join(stream.problems)
    assert "a#0: the worker knew before that it lost epoch 1" in told
    assert "b#0: the worker released epoch 1 before" in told
    assert "c#0: epoch 1 was neither given nor resumed on this stream" in told


def test_nothing_follows_an_outcome() -> None:
    """No report, and no release; and it has no step key."""
    stream = Stream().is_given()
    stream.ends()
    stream.does("a#0")
    stream.says(release=work_pb2.Release(leases=[work_pb2.Lease(**LEASE)]))
    stream.reports("b#0", run_completed=work_pb2.RunCompleted())
    assert [each.split(";")[0] for each in stream.problems] == [
        "report step_completed a#0 after the outcome of epoch 1",
        "epoch 1 is released after its outcome was reported",
        "report run_completed b#0: the worker released epoch 1 before",
        "report run_completed b#0 after the outcome of epoch 1",
        "run_completed has the step key 'b#0'",
    ]


def test_a_run_is_parked_by_what_it_waits_for() -> None:
    """Each step once, all of them begun, and none of them known to be over."""
    stream = Stream().is_given(over("old#0"))
    stream.reports("nap#0", sleep_started=work_pb2.SleepStarted())
    stream.does("a#0")
    stream.is_resolved("nap#0")
    stream.is_acked("a#0")
    stream.parks("old#0", "nap#0", "never#0", "never#0")
    told = "\n".join(stream.problems)
    assert "it is parked by ['old#0', 'nap#0', 'never#0', 'never#0']" in told
    assert "it is parked by old#0, which is over" in told
    assert "it is parked by nap#0, which is over" in told
    assert "it is parked by never#0, which nobody began" in told


def test_a_run_is_parked_by_something() -> None:
    """A park without a step would be for ever."""
    stream = Stream().is_given()
    stream.parks()
    assert stream.problems == ["it is parked by []"]


def test_a_step_is_reported_as_what_it_is() -> None:
    """With a key, a start, and the number of its try."""
    stream = Stream().is_given(failed_once("b#0"))
    stream.does("a")
    stream.does("b#0")
    stream.reports("c#0", started=False, sleep_started=work_pb2.SleepStarted())
    assert stream.problems == [
        "report step_completed a: that is no step key",
        "report step_completed b#0: attempt 1 after 1",
        "report sleep_started c#0: it has no start_time",
    ]


def test_no_step_is_executed_again() -> None:
    """Once it is acknowledged, or recorded."""
    stream = Stream().is_given(over("old#0"))
    stream.does("a#0")
    stream.is_acked("a#0")
    stream.does("a#0", output=b"2")
    stream.does("old#0")
    assert [each for each in stream.problems if "executed again" in each] == [
        "report step_completed a#0: the step was executed again after it was recorded",
        "report step_completed old#0: the step was executed again after it was recorded",
    ]


def test_the_order_of_reports_and_acks_is_kept() -> None:
    """As it passed, and what is sent again counts once."""
    stream = Stream().is_given()
    stream.does("a#0")
    stream.does("a#0")
    stream.is_acked("a#0")
    stream.does("b#0")
    stream.ends()
    assert stream.referee.order_of("r") == ["report a#0", "ack a#0", "report b#0", "report end"]
