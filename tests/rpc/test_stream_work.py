"""StreamWork over a real socket: what goes right, frame by frame."""

from __future__ import annotations

import grpc

from controlplane.core.limits import KIB, SECOND, Limits
from controlplane.engine.commands import ExpireSessions, FireTimers
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.gen.steplane.v1 import work_pb2 as work
from tests.rpc.conftest import APP, Served, serving
from tests.rpc.worker_frames import EVENT, a_run, completed, ended, invoked, parked, sleeping, state_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


# From hello to the end


async def test_a_run_from_event_to_end(served: Served) -> None:
    """Its steps and its outcome are acknowledged, in their order, and stored."""
    await served.register("checkout")
    worker = await served.connect("checkout")
    (event_id,) = await served.send(EVENT, data=b'{"n": 1}')
    lease = await invoked(worker)
    assert (lease.function_id, lease.epoch, lease.events[0].id) == ("checkout", 1, event_id)
    assert lease.events[0].data.data == b'{"n": 1}'
    await worker.report(completed(lease, "a#0"), completed(lease, "b#0"), ended(lease))
    acks = await worker.expect_acks(3)
    assert [(ack.run_id, ack.epoch, ack.step_key, ack.status) for ack in acks] == [
        (lease.run_id, 1, key, work.ACK_STATUS_COMMITTED) for key in ("a#0", "b#0", "")
    ]
    assert await state_of(served, lease.run_id) == "COMPLETED"
    journal = await served.runs.ListJournal(run_pb2.ListJournalRequest(run_id=lease.run_id))
    assert [entry.step_key for entry in journal.entries] == ["a#0", "b#0"]


async def test_the_welcome_has_the_servers_terms(served: Served) -> None:
    """Intervals and limits are the server's."""
    await served.register("checkout")
    worker = await served.connect("checkout")
    assert worker.welcome.session_id
    assert worker.welcome.heartbeat_interval.ToSeconds() == 5
    assert worker.welcome.limits.run_steps_max == 1_000


async def test_no_more_is_given_out_than_there_is_credit_for(served: Served) -> None:
    """Credit is cumulative: repeating it gives nothing, more of it gives the difference."""
    await served.register("checkout")
    worker = await served.connect("checkout", slots=2)
    await served.send(*[EVENT] * 5)
    assert len((await worker.expect("invocations")).invocations) == 2
    await worker.send(credit={"invocation_limit": 2})
    await worker.send(credit={"invocation_limit": 3})
    assert len((await worker.expect("invocations")).invocations) == 1
    await worker.send(drain={})
    assert (await worker.expect("drain_ack")).invocation_count == 3


async def test_child_events_of_a_step(served: Served) -> None:
    """They are stored with their step, start their runs, and have ids that the ack tells."""
    await served.register("receipt", event="shop/paid")
    worker, lease = await a_run(served)
    other = await served.connect("receipt", instance_id="w2")
    report = work.Report(
        run_id=lease.run_id, epoch=1, step_key="pay#0", events_sent={"events": [{"name": "shop/paid"}] * 2}
    )
    await worker.report(report, report)
    first, again = await worker.expect_acks(2)
    assert (first.status, again.status) == (work.ACK_STATUS_COMMITTED, work.ACK_STATUS_DUPLICATE)
    assert len(set(first.entry.event_ids)) == 2
    assert first.entry.event_ids == again.entry.event_ids
    children = (await other.expect("invocations")).invocations
    assert [child.events[0].id for child in children] == list(first.entry.event_ids)


async def test_a_worker_that_ends_its_stream_hears_what_became_of_its_reports(served: Served) -> None:
    """Everything that was reported before is acknowledged before the server ends the stream too, with OK."""
    worker, lease = await a_run(served)
    await worker.report(*[completed(lease, f"s#{i}") for i in range(100)])
    await worker.call.done_writing()
    assert len(await worker.expect_acks(100)) == 100
    assert await worker.ended() == (grpc.StatusCode.OK, "")


# Waiting, waking, large journals


async def test_a_sleep_that_ends_while_its_run_is_live(served: Served) -> None:
    """It comes as a resolution on the same stream: no new invocation."""
    worker, lease = await a_run(served)
    await worker.report(sleeping(lease, "nap#0", 60))
    (ack,) = await worker.expect_acks(1)
    assert ack.entry.state == run_pb2.STEP_STATE_PENDING
    served.clock.moment += 60 * SECOND
    await served.mailbox.submit_internal(FireTimers(limit=10))
    (resolution,) = (await worker.expect("resolutions")).resolutions
    assert (resolution.run_id, resolution.epoch) == (lease.run_id, 1)
    assert (resolution.entry.step_key, resolution.entry.state) == ("nap#0", run_pb2.STEP_STATE_COMPLETED)


async def test_a_parked_run_comes_again_with_its_journal(served: Served) -> None:
    """With the next epoch, the steps in their order, and the sleep met."""
    worker, lease = await a_run(served)
    await worker.report(completed(lease, "a#0", b'"A"'), sleeping(lease, "nap#0", 60), parked(lease, "nap#0"))
    await worker.expect_acks(3)
    assert await state_of(served, lease.run_id) == "WAITING"
    served.clock.moment += 60 * SECOND
    await served.mailbox.submit_internal(FireTimers(limit=10))
    again = await invoked(worker)
    assert (again.run_id, again.epoch, again.journal_remaining) == (lease.run_id, 2, 0)
    assert [(entry.step_key, entry.state) for entry in again.journal] == [
        ("a#0", run_pb2.STEP_STATE_COMPLETED),
        ("nap#0", run_pb2.STEP_STATE_COMPLETED),
    ]
    assert again.journal[0].output.data == b'"A"'


async def test_a_journal_larger_than_a_frame_comes_in_parts() -> None:
    """No frame is larger than the limit, and the journal is whole."""
    limits = Limits(
        event_bytes_max=10 * KIB, batch_bytes_max=60 * KIB, step_output_bytes_max=40 * KIB, frame_bytes_max=64 * KIB
    )
    async with serving(Settings(limits=limits)) as served:
        worker, lease = await a_run(served, slots=1)
        for i in range(10):
            await worker.report(completed(lease, f"s#{i}", b'"' + b"%d" % i * 30 * KIB + b'"'))
            await worker.expect_acks(1)
        await worker.send(release={"leases": [{"run_id": lease.run_id, "epoch": 1}]})
        await worker.send(credit={"invocation_limit": 2})
        again = await invoked(worker)
        entries = list(again.journal)
        while len(entries) < len(again.journal) + again.journal_remaining:
            part = await worker.expect("journal_part")
            assert (part.run_id, part.epoch) == (lease.run_id, 2)
            assert part.ByteSize() <= 64 * KIB
            entries += part.entries
        assert [entry.step_key for entry in entries] == [f"s#{i}" for i in range(10)]
        assert {len(entry.output.data) for entry in entries} == {30 * KIB + 2}


async def test_a_live_run_is_cancelled(served: Served) -> None:
    """Its worker is told; what it still reports is told that the run has ended."""
    worker, lease = await a_run(served)
    await served.runs.CancelRun(run_pb2.CancelRunRequest(run_id=lease.run_id, reason="by hand"))
    (cancellation,) = (await worker.expect("cancellations")).cancellations
    assert (cancellation.run_id, cancellation.epoch, cancellation.reason) == (lease.run_id, 1, "by hand")
    await worker.report(completed(lease, "a#0"))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_RUN_ENDED


# Liveness


async def test_a_heartbeat_is_answered(served: Served) -> None:
    """The answer names what the worker should not hold."""
    worker, lease = await a_run(served)
    held = [{"run_id": lease.run_id, "epoch": 1}, {"run_id": lease.run_id, "epoch": 7}, {"run_id": "x", "epoch": 1}]
    await worker.send(heartbeat={"held": held})
    stop = (await worker.expect("heartbeat_ack")).stop
    assert [(one.run_id, one.epoch) for one in stop] == [(lease.run_id, 7), ("x", 1)]


async def test_an_invocation_that_was_lost_is_sent_again(served: Served) -> None:
    """Two heartbeats in a row lack it: it comes again, with the next epoch and the same attempt."""
    worker, lease = await a_run(served)
    for _ in range(2):
        await worker.send(heartbeat={})
        await worker.expect("heartbeat_ack")
    again = await invoked(worker)
    assert (again.run_id, again.epoch, again.attempt) == (lease.run_id, 2, 0)


async def test_a_worker_resumes_what_it_holds(served: Served) -> None:
    """After a broken stream, its reports count with the same epoch on the next one."""
    worker, lease = await a_run(served)
    worker.call.cancel()
    await served.work_service.wait_idle()
    again = served.open_stream()
    held = [{"run_id": lease.run_id, "epoch": 1}, {"run_id": lease.run_id, "epoch": 9}]
    await again.send(hello={"app_id": APP, "function_ids": ["checkout"], "instance_id": "w1", "held": held})
    welcome = await again.expect("welcome")
    assert [(one.run_id, one.epoch) for one in welcome.resumed] == [(lease.run_id, 1)]
    await again.report(ended(lease))
    assert (await again.expect_acks(1))[0].status == work.ACK_STATUS_COMMITTED


async def test_a_worker_that_does_not_come_back_loses_its_runs(served: Served) -> None:
    """After the grace time they go to another, and the first one's reports are stale."""
    worker, lease = await a_run(served)
    worker.call.cancel()
    await served.work_service.wait_idle()
    other = await served.connect("checkout", instance_id="w2")
    served.clock.moment += 5 * SECOND
    assert await served.mailbox.submit_internal(ExpireSessions()) == 1
    again = await invoked(other)
    assert (again.run_id, again.epoch) == (lease.run_id, 2)


async def test_a_worker_that_is_silent_loses_its_session(served: Served) -> None:
    """DEADLINE_EXCEEDED on its stream."""
    worker, lease = await a_run(served)
    served.clock.moment += 30 * SECOND
    assert await served.mailbox.submit_internal(ExpireSessions()) == 1
    assert await worker.ended() == (grpc.StatusCode.DEADLINE_EXCEEDED, "the session was silent for too long")
    assert await state_of(served, lease.run_id) == "QUEUED"


async def test_a_newer_stream_of_a_worker_ends_the_older_one(served: Served) -> None:
    """ABORTED on the older one; what the newer one does not hold is queued again."""
    worker, lease = await a_run(served)
    await served.connect("checkout", slots=0)
    assert await worker.ended() == (grpc.StatusCode.ABORTED, "the worker opened a newer stream, or polled again")
    assert await state_of(served, lease.run_id) == "QUEUED"


# Drain


async def test_a_worker_drains(served: Served) -> None:
    """It is told how many invocations there were, and gets no more; its reports still count."""
    worker, lease = await a_run(served)
    await worker.send(drain={})
    assert (await worker.expect("drain_ack")).invocation_count == 1
    await served.send(EVENT)
    await worker.report(ended(lease))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_COMMITTED
    await worker.call.done_writing()
    assert await worker.ended() == (grpc.StatusCode.OK, "")


async def test_the_server_drains(served: Served) -> None:
    """Workers are told, get nothing more, and may finish; no new stream is taken."""
    worker, lease = await a_run(served)
    served.work_service.drain()
    assert (await worker.expect("drain")).reason
    await served.send(EVENT)
    await worker.report(ended(lease))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_COMMITTED
    code, _ = await served.open_stream().ended()
    assert code is grpc.StatusCode.UNAVAILABLE
    await worker.call.done_writing()
    assert (await worker.ended())[0] is grpc.StatusCode.OK
    await served.work_service.wait_idle()


async def test_a_worker_that_does_not_finish_is_cut_off(served: Served) -> None:
    """UNAVAILABLE once the server closes; its leases stand for the grace time."""
    worker, lease = await a_run(served)
    served.work_service.drain()
    served.work_service.close()
    assert (await worker.ended())[0] is grpc.StatusCode.UNAVAILABLE
    await served.work_service.wait_idle()
    assert await state_of(served, lease.run_id) == "RUNNING"
