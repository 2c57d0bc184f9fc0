"""Records → protobuf → records gives back what went in."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.definition import NO_OPTIONS, CronTrigger, Definition, EventTrigger, FunctionRow, RetryPolicy
from controlplane.core.ids import child_traceparent, step_span_id
from controlplane.core.limits import HOUR, SECOND
from controlplane.core.records import EventRow, Failure, JournalRow, RunRow
from controlplane.core.retry import DEFAULT
from controlplane.core.states import RunState, StepKind, StepState
from controlplane.gen.steplane.v1 import event_pb2, function_pb2, run_pb2
from controlplane.rpc import translate
from controlplane.store.interface import RunView

NOW = 1_800_000_000_123_456
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_TRACE = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@given(st.integers(min_value=0, max_value=253_402_300_799_999_999))
def test_a_moment_comes_back(moment: int) -> None:
    """To the microsecond, and as protobuf itself would have written it."""
    stamp = Timestamp()
    translate.set_moment(stamp, moment)
    assert stamp.ToMicroseconds() == moment == translate.moment_of(stamp)


@given(st.integers(min_value=0, max_value=10_000 * HOUR))
def test_a_duration_comes_back(duration: int) -> None:
    """To the microsecond, and as protobuf itself would have written it."""
    message = Duration()
    translate.set_duration(message, duration)
    assert message.ToMicroseconds() == duration == translate.duration_of(message)


def test_an_event_with_everything() -> None:
    """All fields are taken as they are."""
    message = event_pb2.Event(id="e1", name="n", traceparent=TRACE, tracestate="v=1")
    message.data.data, message.data.encoding = b"\x00\x01", "binary/x"
    message.ts.FromMicroseconds(NOW)
    assert translate.new_events([message], OTHER_TRACE, "v=2") == (
        ("e1", "n", b"\x00\x01", "binary/x", NOW, TRACE, "v=1"),
    )


def test_an_event_with_its_name_only() -> None:
    """Its data is an empty object, its trace context that of the call, all else is left to the engine."""
    assert translate.new_events([event_pb2.Event(name="n")], TRACE, "v=1") == (
        ("", "n", b"{}", "", None, TRACE, "v=1"),
    )


def test_an_event_with_a_trace_of_its_own_takes_no_state_of_the_call() -> None:
    """The trace state goes with its traceparent."""
    (event,) = translate.new_events([event_pb2.Event(name="n", traceparent=TRACE)], OTHER_TRACE, "v=2")
    assert (event.traceparent, event.tracestate) == (TRACE, "")


def test_an_event_dated_1970_has_a_date() -> None:
    """A time stamp of zero is not one that is unset."""
    (event,) = translate.new_events([event_pb2.Event(name="n", ts=Timestamp())])
    assert event.ts == 0


def test_empty_data_of_another_encoding_stays_empty() -> None:
    """The server knows nothing of other encodings."""
    (event,) = translate.new_events([event_pb2.Event(name="n", data={"encoding": "binary/x"})])
    assert event.data == b""


EVENT = EventRow(7, "default", "e1", "n", b'{"a":1}', "", NOW, NOW + 5, TRACE, "v=1", "r1", "s#0")


def test_an_event_record() -> None:
    """It tells what was stored, and where it came from."""
    record = translate.event_record(EVENT)
    (event,) = translate.new_events([record.event])
    assert event == ("e1", "n", b'{"a":1}', "", NOW, TRACE, "v=1")
    assert translate.moment_of(record.receive_time) == NOW + 5
    assert (record.source_run_id, record.source_step_key) == ("r1", "s#0")


def test_an_event_of_a_producer_has_no_source() -> None:
    """Its source fields are empty."""
    record = translate.event_record(EVENT._replace(source_run_id=None, source_step_key=None))
    assert (record.source_run_id, record.source_step_key) == ("", "")


RUN = RunRow("r1", "default", 1, 7, NOW, TRACE, "")


def test_a_fresh_run() -> None:
    """What has not happened yet is unset."""
    run = translate.run_message(RunView(RUN, "shop", "checkout", "e1", "n"))
    assert (run.id, run.namespace, run.app_id, run.function_id) == ("r1", "default", "shop", "checkout")
    assert (run.event_id, run.event_name, run.traceparent) == ("e1", "n", TRACE)
    assert run.state == run_pb2.RUN_STATE_QUEUED
    assert {field.name for field, _ in run.ListFields()} == {
        "id", "namespace", "app_id", "function_id", "state", "event_id", "event_name", "create_time", "traceparent",
        "need", "queue_time",
    }  # fmt: skip


@pytest.mark.parametrize("state", RunState)
def test_a_state_is_its_own_number(state: RunState) -> None:
    """The numbers of the store are those of the wire."""
    run = translate.run_message(RunView(RUN._replace(state=state), "shop", "checkout", "e1", "n"))
    assert run_pb2.RunState.Name(run.state) == f"RUN_STATE_{state.name}"


def test_an_ended_run() -> None:
    """Output, failure and all moments."""
    row = RUN._replace(
        state=RunState.FAILED,
        epoch=3,
        attempt=2,
        step_count=4,
        started_at=NOW + 1,
        ended_at=NOW + 2,
        due_at=NOW + 3,
        output=b"",
        output_encoding="binary/x",
        failure=Failure("ValueError", "no", "line 1", "s#0"),
    )
    run = translate.run_message(RunView(row, "shop", "checkout", "e1", "n"))
    assert (run.epoch, run.attempt, run.step_count) == (3, 2, 4)
    moments = (run.create_time, run.start_time, run.end_time, run.due_time)
    assert [translate.moment_of(moment) for moment in moments] == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert run.HasField("output")
    assert (run.output.data, run.output.encoding) == (b"", "binary/x")
    failure = run.failure
    assert (failure.name, failure.message, failure.stack, failure.step_key) == ("ValueError", "no", "line 1", "s#0")


@pytest.mark.parametrize("state", StepState)
def test_a_step_has_a_due_time_while_it_waits(state: StepState) -> None:
    """A step that is done has none, even if it slept until one."""
    row = JournalRow("r1", "s#0", StepKind.SLEEP, state, due_at=NOW)
    (entry,) = translate.journal_messages(RUN, [row])
    assert run_pb2.StepState.Name(entry.state) == f"STEP_STATE_{state.name}"
    assert entry.HasField("due_time") == (state in {StepState.PENDING, StepState.RETRYING})


@pytest.mark.parametrize("kind", StepKind)
def test_a_kind_is_its_own_number(kind: StepKind) -> None:
    """The numbers of the store are those of the wire."""
    (entry,) = translate.journal_messages(RUN, [JournalRow("r1", "s#0", kind, StepState.COMPLETED)])
    assert run_pb2.StepKind.Name(entry.kind) == f"STEP_KIND_{kind.name}"


def test_a_step_has_its_own_span() -> None:
    """Its trace context is its run's, with the span that is derived from the run and the step's key."""
    (entry,) = translate.journal_messages(RUN, [JournalRow("r1", "s#0", StepKind.RUN, StepState.COMPLETED)])
    assert entry.traceparent == child_traceparent(TRACE, step_span_id("r1", "s#0"))


def test_a_step_with_everything() -> None:
    """Output, failure, tries, moments and the ids of its events."""
    row = JournalRow(
        "r1", "s#0", StepKind.RUN, StepState.RETRYING, 2, b"1", "", Failure("E", "m"), NOW, NOW + 1, NOW + 2, ("a", "b")
    )
    (entry,) = translate.journal_messages(RUN, [row])
    assert (entry.step_key, entry.attempts, entry.output.data, entry.failure.name) == ("s#0", 2, b"1", "E")
    assert [translate.moment_of(m) for m in (entry.start_time, entry.end_time, entry.due_time)] == [
        NOW,
        NOW + 1,
        NOW + 2,
    ]
    assert list(entry.event_ids) == ["a", "b"]


DEFINITIONS = st.builds(
    Definition,
    app_id=st.just("shop"),
    function_id=st.just("checkout"),
    name=st.text(min_size=1),
    triggers=st.lists(
        st.builds(EventTrigger, st.text(), st.text()) | st.builds(CronTrigger, st.text(), st.text(min_size=1))
    ).map(tuple),
    retry=st.builds(
        RetryPolicy,
        retries=st.integers(0, 20),
        delays=st.lists(st.integers(0, 24 * HOUR), min_size=1).map(tuple),
        jitter=st.integers(0, 24 * HOUR),
    ),
    options=st.just(NO_OPTIONS),
)


@given(DEFINITIONS)
def test_a_definition_comes_back(definition: Definition) -> None:
    """What a worker reads with Get, it may register again: nothing changes."""
    row = FunctionRow(1, "default", definition, 3, NOW, NOW + 1)
    message = translate.function_message(row, live_sessions=2)
    assert translate.definition_of(message.definition, NO_OPTIONS) == definition
    assert (message.namespace, message.version, message.live_sessions) == ("default", 3, 2)
    assert [translate.moment_of(m) for m in (message.create_time, message.update_time)] == [NOW, NOW + 1]


def test_a_short_definition_gets_the_defaults() -> None:
    """The id as a name, UTC, and the default policy."""
    message = function_pb2.FunctionDefinition(app_id="shop", function_id="checkout")
    message.triggers.add().cron.cron = "0 12 * * 5"
    assert translate.definition_of(message, NO_OPTIONS) == Definition(
        "shop", "checkout", "checkout", (CronTrigger("0 12 * * 5", "UTC"),), DEFAULT
    )


def test_a_policy_may_be_given_in_part() -> None:
    """What is set counts, even if it is zero; what is not set is the default."""
    message = function_pb2.FunctionDefinition(retry={"retries": 0, "jitter": {}})
    assert translate.definition_of(message, NO_OPTIONS).retry == RetryPolicy(0, DEFAULT.delays, 0)
    message = function_pb2.FunctionDefinition(retry={"delays": [{"seconds": 1}, {}]})
    assert translate.definition_of(message, NO_OPTIONS).retry == RetryPolicy(
        DEFAULT.retries, (SECOND, 0), DEFAULT.jitter
    )
