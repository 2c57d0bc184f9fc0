"""Report over a real socket: reports of single calls, whichever way their leases were taken."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from controlplane.core.limits import KIB, MIB, SECOND, Limits
from controlplane.engine.commands import ExpireSessions, FireTimers
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.gen.steplane.v1 import work_pb2 as work
from tests.rpc.conftest import Served, refusal_of, serving
from tests.rpc.single_calls import LONG, a_polled_run, lease_of, polled, polling, reported, statuses
from tests.rpc.worker_frames import EVENT, a_run, completed, ended, parked, sleeping, state_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def expire(served: Served, seconds: int) -> int:
    """Let time pass, and those expire who were silent; how many that were."""
    # What was asked before this has to be done before it, such as the end of a poll that was just answered.
    assert await served.mailbox.submit_internal(ExpireSessions()) == 0
    served.clock.moment += seconds * SECOND
    expired: int = await served.mailbox.submit_internal(ExpireSessions())
    return expired


# Acks


async def test_each_report_is_answered_in_order(served: Served) -> None:
    """With lease, key and status, as over a stream; and with the step where the server knows more."""
    lease = await a_polled_run(served)
    answer = await reported(served, completed(lease, "a#0"), sleeping(lease, "nap#0", 60), parked(lease, "nap#0"))
    assert [(ack.run_id, ack.epoch, ack.step_key, ack.status) for ack in answer.acks] == [
        (lease.run_id, 1, key, work.ACK_STATUS_COMMITTED) for key in ("a#0", "nap#0", "")
    ]
    assert [ack.entry.state for ack in answer.acks[:2]] == [0, run_pb2.STEP_STATE_PENDING]
    assert (len(answer.stop), len(answer.cancellations)) == (0, 0)
    assert await state_of(served, lease.run_id) == "WAITING"


async def test_a_repeated_report_is_a_duplicate(served: Served) -> None:
    """In the same call, in another, and of an outcome: nothing is recorded twice, and what was recorded first is told."""
    lease = await a_polled_run(served)
    assert await statuses(served, completed(lease, "a#0"), completed(lease, "a#0")) == ["COMMITTED", "DUPLICATE"]
    await reported(served, ended(lease))
    before = served.stored()
    answer = await reported(served, completed(lease, "a#0", b'"other"'), ended(lease))
    assert [ack.status for ack in answer.acks] == [work.ACK_STATUS_DUPLICATE] * 2
    assert answer.acks[0].entry.output.data == b"1"
    assert served.stored() == before


async def test_child_events_are_sent_once(served: Served) -> None:
    """However often the step that sends them is reported: they are in its transaction, and the run's trace."""
    await served.register("receipt", event="shop/paid")
    lease = await a_polled_run(served)
    body = {"events": [{"name": "shop/paid"}] * 2}
    report = work.Report(run_id=lease.run_id, epoch=1, step_key="pay#0", events_sent=body)
    first, again = [(await reported(served, report)).acks[0] for _ in range(2)]
    assert (first.status, again.status) == (work.ACK_STATUS_COMMITTED, work.ACK_STATUS_DUPLICATE)
    assert list(again.entry.event_ids) == list(first.entry.event_ids)
    children = (await polling(served, most=5, function_ids=["receipt"], instance_id="p2")).invocations
    assert [child.events[0].id for child in children] == list(first.entry.event_ids)
    assert {child.traceparent[3:35] for child in children} == {lease.traceparent[3:35]}


async def test_a_stale_epoch_is_refused(served: Served) -> None:
    """Whoever reports it: only the holder of the current epoch writes."""
    old = await a_polled_run(served)
    new = await polled(served)
    assert (new.run_id, new.epoch) == (old.run_id, 2)
    before = served.stored()
    assert await statuses(served, completed(old, "a#0"), ended(old)) == ["STALE_EPOCH"] * 2
    ahead = work.Report(run_id=new.run_id, epoch=3, run_completed={})
    assert await statuses(served, ahead) == ["STALE_EPOCH"]
    assert served.stored() == before
    assert await statuses(served, ended(new)) == ["COMMITTED"]


async def test_a_parked_run_is_nobodys(served: Served) -> None:
    """Its lease ended with the park: what is reported on it afterwards is refused."""
    lease = await a_polled_run(served)
    await reported(served, sleeping(lease, "nap#0", 60), parked(lease, "nap#0"))
    before = served.stored()
    assert await statuses(served, completed(lease, "a#0"), ended(lease)) == ["STALE_EPOCH"] * 2
    assert await statuses(served, parked(lease, "nap#0")) == ["DUPLICATE"]
    assert served.stored() == before


async def test_a_bad_report_harms_nothing_but_itself(served: Served) -> None:
    """It is rejected, with a reason and words; those beside it count."""
    lease = await a_polled_run(served)
    bad = work.Report(run_id=lease.run_id, epoch=1, step_key="b", step_completed={"attempt": 1})
    strange = work.Report(run_id="unknown", epoch=1, run_completed={})
    answer = await reported(served, completed(lease, "a#0"), bad, strange, completed(lease, "c#0"))
    assert [ack.status for ack in answer.acks] == [
        work.ACK_STATUS_COMMITTED,
        work.ACK_STATUS_REJECTED,
        work.ACK_STATUS_REJECTED,
        work.ACK_STATUS_COMMITTED,
    ]
    assert [ack.reason for ack in answer.acks] == ["", "INVALID_STEP_KEY", "RUN_NOT_FOUND", ""]
    assert all(ack.message for ack in answer.acks[1:3])


async def test_a_run_of_another_namespace(served: Served) -> None:
    """Is none: its report is rejected, and its lease is to be stopped."""
    lease = await a_polled_run(served)
    before = served.stored()
    answer = await reported(served, ended(lease), held=[lease_of(lease)], namespace="other")
    assert [(ack.status, ack.reason) for ack in answer.acks] == [(work.ACK_STATUS_REJECTED, "RUN_NOT_FOUND")]
    assert list(answer.stop) == [lease_of(lease)]
    assert served.stored() == before


async def test_acks_that_do_not_fit_are_had_by_reporting_again() -> None:
    """The answer is no larger than a message may be, and has the first ones at least."""
    limits = Limits(
        event_bytes_max=10 * KIB, batch_bytes_max=60 * KIB, step_output_bytes_max=40 * KIB, frame_bytes_max=64 * KIB
    )
    async with serving(Settings(limits=limits)) as served:
        lease = await a_polled_run(served)
        for i in range(3):
            await reported(served, completed(lease, f"s#{i}", b'"' + b"x" * 30 * KIB + b'"'))
        left = [completed(lease, f"s#{i}") for i in range(3)]
        told: list[str] = []
        while left:
            answer = await reported(served, *left)
            assert answer.ByteSize() <= 64 * KIB
            assert 1 <= len(answer.acks) < 3
            told += [ack.step_key for ack in answer.acks]
            left = left[len(answer.acks) :]
        assert told == ["s#0", "s#1", "s#2"]


# Signs of life


async def test_a_lease_is_renewed_by_naming_it(served: Served) -> None:
    """As held, or in a report, each time for the time-out; unnamed it ends."""
    lease = await a_polled_run(served)
    assert await expire(served, 29) == 0
    answer = await reported(served, held=[lease_of(lease)])
    assert (len(answer.acks), len(answer.stop)) == (0, 0)
    assert await expire(served, 29) == 0
    await reported(served, completed(lease, "a#0"))
    assert await expire(served, 29) == 0
    assert await expire(served, 1) == 1
    assert await state_of(served, lease.run_id) == "QUEUED"


async def test_a_stale_lease_renews_nothing(served: Served) -> None:
    """It is told to stop, and the one that stands runs out."""
    old = await a_polled_run(served)
    await polled(served)
    assert await expire(served, 29) == 0
    answer = await reported(served, completed(old, "a#0"), held=[lease_of(old)])
    assert list(answer.stop) == [lease_of(old)]
    assert await expire(served, 1) == 1


async def test_what_does_not_stand_is_to_be_stopped(served: Served) -> None:
    """Leases of runs that ended, that are leased again, that were never there. Those of reports are told by acks alone."""
    await served.register("checkout")
    await served.send(EVENT, EVENT)
    over, other = (await polling(served, most=2)).invocations
    await reported(served, ended(over))
    held = [lease_of(over), lease_of(other), work.Lease(run_id=other.run_id, epoch=2), work.Lease(run_id="x", epoch=1)]
    answer = await reported(served, ended(over), held=held[1:])
    assert list(answer.stop) == held[2:]
    assert list((await reported(served, held=held)).stop) == [held[0], *held[2:]]


async def test_an_outcome_and_its_lease_in_one_call(served: Served) -> None:
    """A worker that names what it holds, and ends it, is not told to stop it."""
    lease = await a_polled_run(served)
    answer = await reported(served, ended(lease), held=[lease_of(lease)])
    assert ([ack.status for ack in answer.acks], len(answer.stop)) == ([work.ACK_STATUS_COMMITTED], 0)


async def test_a_cancelled_run(served: Served) -> None:
    """Who reports on it, or only holds it, is told that it was cancelled, and why."""
    lease = await a_polled_run(served)
    await served.runs.CancelRun(run_pb2.CancelRunRequest(run_id=lease.run_id, reason="by hand"))
    answer = await reported(served, completed(lease, "a#0"))
    assert [ack.status for ack in answer.acks] == [work.ACK_STATUS_RUN_ENDED]
    assert [(told.run_id, told.epoch, told.reason) for told in answer.cancellations] == [(lease.run_id, 1, "by hand")]
    answer = await reported(served, held=[lease_of(lease)])
    assert (list(answer.stop), len(answer.cancellations)) == ([lease_of(lease)], 1)


# Polls and streams


async def test_a_lease_of_a_stream_is_reported_on_by_a_call(served: Served) -> None:
    """Its ack is the call's, and the stream is told nothing of it; what its steps wait for is told the stream."""
    worker, lease = await a_run(served)
    assert await statuses(served, completed(lease, "a#0"), sleeping(lease, "nap#0", 60)) == ["COMMITTED"] * 2
    served.clock.moment += 60 * SECOND
    await served.mailbox.submit_internal(FireTimers(limit=10))
    (resolution,) = (await worker.expect("resolutions")).resolutions
    assert (resolution.run_id, resolution.epoch, resolution.entry.step_key) == (lease.run_id, 1, "nap#0")
    await worker.report(completed(lease, "a#0"))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_DUPLICATE
    assert await statuses(served, ended(lease)) == ["COMMITTED"]
    await worker.report(ended(lease))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_DUPLICATE


async def test_a_lease_of_a_poll_is_reported_on_over_a_stream(served: Served) -> None:
    """Its ack is the stream's; the lease is so too, with what its steps wait for, once a heartbeat names it."""
    lease = await a_polled_run(served)
    worker = await served.connect("checkout")
    await worker.report(completed(lease, "a#0"))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_COMMITTED
    await worker.send(heartbeat={"held": [lease_of(lease)]})
    assert list((await worker.expect("heartbeat_ack")).stop) == []
    await worker.report(sleeping(lease, "nap#0", 10))
    await worker.expect_acks(1)
    served.clock.moment += 10 * SECOND
    await served.mailbox.submit_internal(FireTimers(limit=10))
    assert (await worker.expect("resolutions")).resolutions[0].entry.step_key == "nap#0"
    assert await statuses(served, ended(lease)) == ["COMMITTED"]


async def test_who_lost_its_stream_goes_on_by_calls(served: Served) -> None:
    """Within the grace time a call that names the lease keeps it, for the time-out, again and again."""
    worker, lease = await a_run(served)
    worker.call.cancel()
    await served.work_service.wait_idle()
    assert await expire(served, 4) == 0
    await reported(served, held=[lease_of(lease)])
    assert await expire(served, 29) == 0
    assert await statuses(served, completed(lease, "a#0"), ended(lease)) == ["COMMITTED"] * 2


async def test_an_open_stream_needs_its_heartbeats(served: Served) -> None:
    """A call on one of its leases is no heartbeat of a worker that is silent otherwise."""
    worker, lease = await a_run(served)
    assert await expire(served, 29) == 0
    await reported(served, completed(lease, "a#0"))
    assert await expire(served, 1) == 1
    assert (await worker.ended())[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await statuses(served, ended(lease)) == ["STALE_EPOCH"]


async def test_a_report_during_a_poll(served: Served) -> None:
    """A worker reports what it holds while it asks for more; the poll goes on."""
    lease = await a_polled_run(served)
    call = polling(served, wait=LONG, held=[lease_of(lease)])
    await served.served("checkout")
    assert await statuses(served, completed(lease, "a#0"), ended(lease)) == ["COMMITTED"] * 2
    await served.send(EVENT)
    assert (await call).invocations[0].epoch == 1


# What is wrong with a call


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        ({}, ["reports"]),
        ({"namespace": "a b", "held": [{"run_id": "r", "epoch": 1}]}, ["namespace"]),
        ({"reports": [{}] * 1_001}, ["reports"]),
        ({"held": [{"run_id": "r", "epoch": 1}] * 1_001}, ["held"]),
        ({"held": [{}]}, ["held[0].run_id", "held[0].epoch"]),
        ({"reports": [{}], "held": [{"run_id": "a\n", "epoch": 1}]}, ["held[0].run_id"]),
    ],
)
async def test_a_bad_call(served: Served, request_: dict[str, Any], fields: list[str]) -> None:
    """INVALID_ARGUMENT with the path of each field, and nothing is changed."""
    await a_polled_run(served)
    before = served.stored()
    refusal = await refusal_of(served.work.Report(work.ReportRequest(**request_)))
    assert (refusal.code, list(refusal.violations)) == (INVALID, fields)
    assert served.stored() == before


async def test_bounds_that_are_just_met(served: Served) -> None:
    """A thousand reports and a thousand leases in one call."""
    lease = await a_polled_run(served)
    reports = [completed(lease, f"s#{i}") for i in range(1_000)]
    held = [work.Lease(run_id="r" * 256, epoch=1)] * 1_000
    answer = await reported(served, *reports, held=held)
    assert {ack.status for ack in answer.acks} == {work.ACK_STATUS_COMMITTED}
    assert (len(answer.acks), len(answer.stop)) == (1_000, 1)


async def test_a_call_that_is_too_large(served: Served) -> None:
    """INVALID_ARGUMENT that names the limit, where a step's output alone would be rejected."""
    lease = await a_polled_run(served)
    reports = [completed(lease, f"s#{i}", b'"' + b"x" * 3 * MIB + b'"') for i in range(3)]
    refusal = await refusal_of(served.work.Report(work.ReportRequest(reports=reports)))
    assert (refusal.code, list(refusal.violations)) == (INVALID, ["request"])
    assert str(8 * MIB) in refusal.message


async def test_what_is_no_message(served: Served) -> None:
    """INVALID_ARGUMENT that says so."""
    for method in ("PollWork", "Report"):
        refusal = await refusal_of(served.channel.unary_unary(f"/steplane.v1.WorkService/{method}")(b"\xff\xff"))
        assert (refusal.code, f"{method}Request" in refusal.message) == (INVALID, True)


async def test_a_saturated_server() -> None:
    """RESOURCE_EXHAUSTED with when to try again, and nothing is changed."""
    async with serving(Settings(limits=Limits(mailbox_bytes_max=8 * MIB))) as served:
        lease = await a_polled_run(served)
        await served.mailbox.submit_internal(ExpireSessions())
        served.mailbox._bytes += 8 * MIB
        refusals = [await refusal_of(served.work.Report(work.ReportRequest(reports=[ended(lease)])))]
        refusals.append(await refusal_of(polling(served)))
        served.mailbox._bytes -= 8 * MIB
        assert {(one.code, one.retry_seconds) for one in refusals} == {(grpc.StatusCode.RESOURCE_EXHAUSTED, 0.2)}
        assert await statuses(served, ended(lease)) == ["COMMITTED"]
