"""Streams and reports that are wrong, over a real socket: each with its precise status, and nothing changed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from controlplane.core.limits import KIB, SECOND, Limits
from controlplane.engine.commands import ExpireSessions
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.gen.steplane.v1 import work_pb2 as work
from controlplane.rpc.stream_outbox import Patience
from tests.rpc.conftest import APP, Served, refusal_of, serving
from tests.rpc.worker_frames import EVENT, a_run, completed, ended, invoked, sleeping, state_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


# What is wrong with the stream itself


@pytest.mark.parametrize(
    "frame",
    [
        {"credit": {"invocation_limit": 1}},
        {"reports": {}},
        {"heartbeat": {}},
        {"drain": {}},
        {},
    ],
)
async def test_a_stream_without_hello(served: Served, frame: dict[str, Any]) -> None:
    """FAILED_PRECONDITION, whatever else comes first."""
    worker = served.open_stream()
    await worker.send(**frame)
    code, message = await worker.ended()
    assert (code, "hello" in message) == (FAILED_PRECONDITION, True)


async def test_a_stream_that_ends_before_its_hello(served: Served) -> None:
    """FAILED_PRECONDITION as well."""
    worker = served.open_stream()
    await worker.call.done_writing()
    assert (await worker.ended())[0] is FAILED_PRECONDITION


async def test_a_stream_on_which_no_hello_comes() -> None:
    """DEADLINE_EXCEEDED, after the time that is given for it."""
    async with serving(patience=Patience(hello_timeout=SECOND // 10)) as served:
        worker = served.open_stream()
        code, message = await worker.ended()
        assert (code, message) == (grpc.StatusCode.DEADLINE_EXCEEDED, "no hello came within 0.1 seconds")


async def test_hello_twice(served: Served) -> None:
    """FAILED_PRECONDITION; the leases of the session stand for the grace time."""
    worker, lease = await a_run(served)
    await worker.send(hello={"app_id": APP, "function_ids": ["checkout"], "instance_id": "w1"})
    code, message = await worker.ended()
    assert (code, message) == (FAILED_PRECONDITION, "a stream has one hello")
    assert await state_of(served, lease.run_id) == "RUNNING"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"app_id": "a b"}, "hello.app_id"),
        ({"function_ids": []}, "hello.function_ids"),
        ({"function_ids": ["checkout", "unknown"]}, "hello.function_ids[1]"),
        ({"instance_id": ""}, "hello.instance_id"),
        ({"namespace": "other"}, "hello.function_ids[0]"),
    ],
)
async def test_a_bad_hello(served: Served, changed: dict[str, Any], field: str) -> None:
    """INVALID_ARGUMENT with the field's path; a function must be registered."""
    await served.register("checkout")
    before = served.stored()
    worker = served.open_stream()
    await worker.send(hello={"app_id": APP, "function_ids": ["checkout"], "instance_id": "w1"} | changed)
    refusal = await refusal_of(worker.call.read())
    assert (refusal.code, list(refusal.violations)) == (INVALID, [field])
    assert served.stored() == before


async def test_what_is_no_frame(served: Served) -> None:
    """INVALID_ARGUMENT that says so."""
    call = served.channel.stream_stream("/steplane.v1.WorkService/StreamWork")()
    await call.write(b"\xff\xff")
    refusal = await refusal_of(call.read())
    assert refusal.code is INVALID
    assert "StreamWorkRequest" in refusal.message


async def test_a_frame_that_the_server_does_not_know_is_ignored(served: Served) -> None:
    """An SDK of tomorrow may say more than this server understands."""
    await served.register("checkout")
    worker = await served.connect("checkout")
    unknown = work.StreamWorkRequest.FromString(b"\xfa\x07\x00")
    assert unknown.WhichOneof("frame") is None
    await worker.call.write(unknown)
    await worker.send(drain={})
    assert (await worker.expect("drain_ack")).invocation_count == 0


async def test_a_worker_that_never_reads() -> None:
    """RESOURCE_EXHAUSTED once it took no frame for too long; its runs go to another worker."""
    async with serving(patience=Patience(frame_taken_timeout=SECOND // 4)) as served:
        await served.register("checkout")
        deaf = await served.connect("checkout", slots=100, instance_id="deaf")
        for _ in range(5):
            await served.send(*[EVENT] * 10, data=b'{"a":"' + b"x" * 400 * KIB + b'"}')
        await served.work_service.wait_idle()
        other = await served.connect("checkout", slots=100, instance_id="other")
        served.clock.moment += 5 * SECOND
        assert await served.mailbox.submit_internal(ExpireSessions()) == 1
        seen = 0
        while seen < 50:
            seen += len((await other.expect("invocations")).invocations)
        code, message = await deaf.ended()
        assert (code, message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "the worker does not read its stream")


async def test_what_waits_for_a_worker_has_a_limit() -> None:
    """RESOURCE_EXHAUSTED once more waits than may be kept, however patient the server is."""
    async with serving(patience=Patience(outbox_bytes_max=8 * 1024 * KIB)) as served:
        await served.register("checkout")
        deaf = await served.connect("checkout", slots=1_000)
        for _ in range(6):
            await served.send(*[EVENT] * 10, data=b'{"a":"' + b"x" * 400 * KIB + b'"}')
        await served.work_service.wait_idle()
        code, message = await deaf.ended()
        assert (code, "untaken" in message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)


# What is wrong with one report


async def test_a_stale_epoch_is_refused(served: Served) -> None:
    """A report with an old epoch changes nothing, and the stream goes on."""
    worker, lease = await a_run(served)
    await worker.send(release={"leases": [{"run_id": lease.run_id, "epoch": 1}]})
    await worker.send(credit={"invocation_limit": 11})
    again = await invoked(worker)
    assert (again.run_id, again.epoch) == (lease.run_id, 2)
    before = served.stored()
    await worker.report(completed(lease, "a#0"), ended(lease))
    acks = await worker.expect_acks(2)
    assert {ack.status for ack in acks} == {work.ACK_STATUS_STALE_EPOCH}
    assert served.stored() == before
    await worker.report(ended(again))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_COMMITTED


async def test_a_report_on_an_ended_run(served: Served) -> None:
    """It is told that the run has ended; the same outcome again is a duplicate, which is success."""
    worker, lease = await a_run(served)
    await worker.report(ended(lease))
    await worker.expect_acks(1)
    before = served.stored()
    await worker.report(completed(lease, "a#0"), ended(lease))
    late, again = await worker.expect_acks(2)
    assert (late.status, again.status) == (work.ACK_STATUS_RUN_ENDED, work.ACK_STATUS_DUPLICATE)
    assert served.stored() == before


async def test_a_repeated_report_is_a_duplicate(served: Served) -> None:
    """The ack has the step as it was recorded first."""
    worker, lease = await a_run(served)
    await worker.report(completed(lease, "a#0", b'"first"'))
    await worker.expect_acks(1)
    before = served.stored()
    await worker.report(completed(lease, "a#0", b'"second"'))
    (ack,) = await worker.expect_acks(1)
    assert (ack.status, ack.entry.output.data) == (work.ACK_STATUS_DUPLICATE, b'"first"')
    assert served.stored() == before


async def test_a_run_that_there_is_not(served: Served) -> None:
    """Its report is rejected, as is one on a run of another tenant."""
    worker, _ = await a_run(served)
    before = served.stored()
    await worker.report(work.Report(run_id="unknown", epoch=1, run_completed={}))
    (ack,) = await worker.expect_acks(1)
    assert (ack.run_id, ack.status, ack.reason) == ("unknown", work.ACK_STATUS_REJECTED, "RUN_NOT_FOUND")
    assert served.stored() == before


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "UNKNOWN_BODY"),
        ({"step_key": "a", "step_completed": {"attempt": 1}}, "INVALID_STEP_KEY"),
        ({"step_key": "a#0", "step_completed": {}}, "INVALID_ATTEMPT"),
        ({"step_key": "a#0", "step_completed": {"output": {"data": b"{"}, "attempt": 1}}, "INVALID_OUTPUT"),
        (
            {"step_key": "a#0", "step_completed": {"output": {"data": b'"' + b"x" * 4096 * KIB + b'"'}, "attempt": 1}},
            "OUTPUT_TOO_LARGE",
        ),
        ({"step_key": "a#0", "events_sent": {"events": [{"name": "b"}, {"name": "steplane/x"}]}}, "INVALID_EVENTS"),
        ({"step_key": "a#0", "sleep_started": {"duration": {"seconds": -1}}}, "INVALID_DURATION"),
        ({"run_parked": {}}, "INVALID_BLOCKED_BY"),
        ({"run_completed": {"output": {"data": b"\xff"}}}, "INVALID_OUTPUT"),
    ],
)
async def test_a_bad_report_harms_nothing_but_itself(served: Served, fields: dict[str, Any], reason: str) -> None:
    """It is rejected with a reason and words; the reports beside it count, and the stream goes on."""
    worker, lease = await a_run(served)
    bad = work.Report(run_id=lease.run_id, epoch=1, **fields)
    await worker.report(completed(lease, "before#0"), bad, completed(lease, "after#0"))
    before, refused, after = await worker.expect_acks(3)
    assert (before.status, after.status) == (work.ACK_STATUS_COMMITTED, work.ACK_STATUS_COMMITTED)
    assert (refused.status, refused.reason) == (work.ACK_STATUS_REJECTED, reason)
    assert refused.message
    journal = await served.runs.ListJournal(run_pb2.ListJournalRequest(run_id=lease.run_id))
    assert [entry.step_key for entry in journal.entries] == ["before#0", "after#0"]
    assert await state_of(served, lease.run_id) == "RUNNING"


async def test_a_step_too_many(served: Served) -> None:
    """The 1,001st step of a run is rejected, and names the limit; the run may still end."""
    worker, lease = await a_run(served)
    await worker.report(*[completed(lease, f"s#{i}") for i in range(1_000)])
    assert {ack.status for ack in await worker.expect_acks(1_000)} == {work.ACK_STATUS_COMMITTED}
    before = served.stored()
    await worker.report(completed(lease, "s#1000"))
    (ack,) = await worker.expect_acks(1)
    assert (ack.status, ack.reason) == (work.ACK_STATUS_REJECTED, "TOO_MANY_STEPS")
    assert "1000" in ack.message
    assert served.stored() == before
    await worker.report(ended(lease))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_COMMITTED


async def test_a_journal_too_large() -> None:
    """An output beyond what a run may record is rejected, and names the limit."""
    limits = Limits(step_output_bytes_max=100, journal_bytes_max=250)
    async with serving(Settings(limits=limits)) as served:
        worker, lease = await a_run(served)
        output = b'"' + b"x" * 98 + b'"'
        await worker.report(*[completed(lease, f"s#{i}", output) for i in range(3)])
        first, second, third = await worker.expect_acks(3)
        assert (first.status, second.status) == (work.ACK_STATUS_COMMITTED, work.ACK_STATUS_COMMITTED)
        assert (third.status, third.reason) == (work.ACK_STATUS_REJECTED, "JOURNAL_TOO_LARGE")


async def test_another_kind_of_step_under_a_recorded_key(served: Served) -> None:
    """It is rejected, and says what is recorded and what was reported."""
    worker, lease = await a_run(served)
    await worker.report(completed(lease, "a#0"), sleeping(lease, "a#0", 5))
    _, ack = await worker.expect_acks(2)
    assert (ack.status, ack.reason) == (work.ACK_STATUS_REJECTED, "NON_DETERMINISM")
    assert "RUN" in ack.message
    assert "SLEEP" in ack.message
