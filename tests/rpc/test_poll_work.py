"""PollWork over a real socket: work without a stream."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from controlplane.core.limits import KIB, SECOND, Limits
from controlplane.core.records import NewEvent
from controlplane.core.states import RunState
from controlplane.engine.commands import ExpireSessions, FireTimers, SendEvents
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import function_pb2, run_pb2
from controlplane.gen.steplane.v1 import work_pb2 as work
from controlplane.rpc.poll_work import Poll
from tests.rpc.conftest import APP, PATIENCE_SECONDS, Served, refusal_of, serving
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


# Taking work


async def test_a_run_from_event_to_end(served: Served) -> None:
    """What is ready is handed out at once, with all that its function needs; its reports end it."""
    await served.register("checkout")
    (event_id,) = await served.send(EVENT, data=b'{"n": 1}')
    answer = await polling(served)
    (invocation,) = answer.invocations
    assert (invocation.function_id, invocation.epoch, invocation.events[0].id) == ("checkout", 1, event_id)
    assert (invocation.events[0].data.data, invocation.attempts_max) == (b'{"n": 1}', 5)
    assert await statuses(served, completed(invocation, "a#0"), ended(invocation)) == ["COMMITTED", "COMMITTED"]
    assert await state_of(served, invocation.run_id) == "COMPLETED"


async def test_the_welcome_has_the_servers_terms(served: Served) -> None:
    """The same as those of a stream."""
    await served.register("checkout")
    streams = (await served.connect("checkout")).welcome
    polls = (await polling(served)).welcome
    assert polls.session_id
    polls.session_id = streams.session_id
    assert polls == streams


async def test_a_poll_is_answered_as_soon_as_there_is_work(served: Served) -> None:
    """Long before its wait is over."""
    await served.register("checkout")
    call = polling(served, wait=LONG)
    await served.served("checkout")
    await served.send(EVENT)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert len((await call).invocations) == 1


async def test_a_poll_ends_with_its_wait(served: Served) -> None:
    """Without work it answers with none, and leaves nothing behind."""
    await served.register("checkout")
    before = served.stored()
    answer = await polling(served, wait={"nanos": 50_000_000})
    assert (len(answer.invocations), answer.HasField("welcome")) == (0, True)
    await served.served("checkout", 0)
    assert served.stored() == before


async def test_a_poll_ends_before_its_deadline(served: Served) -> None:
    """However long it would wait: the answer is there, and no DEADLINE_EXCEEDED."""
    await served.register("checkout")
    hello = work.Hello(app_id=APP, function_ids=["checkout"], instance_id="p1")
    request = work.PollWorkRequest(hello=hello, max_invocations=1, wait=LONG)
    assert len((await served.work.PollWork(request, timeout=1.5)).invocations) == 0


async def test_no_more_is_given_out_than_was_asked_for(served: Served) -> None:
    """The rest stays in the queue, for whoever comes next."""
    await served.register("checkout")
    await served.send(*[EVENT] * 5)
    assert len((await polling(served, most=2)).invocations) == 2
    assert len((await polling(served, most=1_000, instance_id="p2")).invocations) == 3
    assert len((await polling(served, instance_id="p3")).invocations) == 0


async def test_polls_and_streams_share_the_work(served: Served) -> None:
    """A poll that waits is given what a stream has no room for."""
    await served.register("checkout")
    worker = await served.connect("checkout", slots=1)
    call = polling(served, wait=LONG)
    await served.served("checkout", 2)
    await served.send(EVENT, EVENT)
    assert len((await call).invocations) == 1
    assert len((await worker.expect("invocations")).invocations) == 1


async def test_a_parked_run_comes_with_a_later_poll(served: Served) -> None:
    """With the next epoch and its journal, in which the sleep is over."""
    lease = await a_polled_run(served)
    assert await statuses(served, completed(lease, "a#0", b'"A"'), sleeping(lease, "nap#0", 60)) == ["COMMITTED"] * 2
    assert await statuses(served, parked(lease, "nap#0")) == ["COMMITTED"]
    assert len((await polling(served)).invocations) == 0
    served.clock.moment += 60 * SECOND
    await served.mailbox.submit_internal(FireTimers(limit=10))
    again = await polled(served)
    assert (again.run_id, again.epoch) == (lease.run_id, 2)
    assert [(entry.step_key, entry.state, entry.output.data) for entry in again.journal] == [
        ("a#0", run_pb2.STEP_STATE_COMPLETED, b'"A"'),
        ("nap#0", run_pb2.STEP_STATE_COMPLETED, b""),
    ]


async def test_a_run_parked_on_what_is_over_comes_at_once(served: Served) -> None:
    """So a worker that hears nothing of its steps misses nothing."""
    lease = await a_polled_run(served)
    await reported(served, sleeping(lease, "nap#0", 60))
    served.clock.moment += 60 * SECOND
    await served.mailbox.submit_internal(FireTimers(limit=10))
    await reported(served, parked(lease, "nap#0"))
    assert (await polled(served)).epoch == 2


async def test_a_large_journal_is_read_elsewhere() -> None:
    """No answer is larger than a message may be: it says how much is missing, and ListJournal has all of it."""
    limits = Limits(
        event_bytes_max=10 * KIB, batch_bytes_max=60 * KIB, step_output_bytes_max=40 * KIB, frame_bytes_max=64 * KIB
    )
    async with serving(Settings(limits=limits)) as served:
        lease = await a_polled_run(served)
        for i in range(10):
            await reported(served, completed(lease, f"s#{i}", b'"' + b"x" * 30 * KIB + b'"'))
        answer = await polling(served)
        assert answer.ByteSize() <= 64 * KIB
        (again,) = answer.invocations
        assert len(again.journal) + again.journal_remaining == 10
        assert again.journal_remaining > 0
        journal = await served.runs.ListJournal(run_pb2.ListJournalRequest(run_id=lease.run_id))
        assert [entry.step_key for entry in journal.entries] == [f"s#{i}" for i in range(10)]


async def test_what_has_no_room_in_an_answer_goes_back() -> None:
    """It comes with the next poll, as if it had never been given: it counts as no delivery."""
    limits = Limits(
        event_bytes_max=40 * KIB, batch_bytes_max=60 * KIB, step_output_bytes_max=1, frame_bytes_max=64 * KIB
    )
    async with serving(Settings(limits=limits)) as served:
        await served.register("checkout")
        for _ in range(2):
            await served.send(EVENT, data=b'{"a":"' + b"x" * 35 * KIB + b'"}')
        first = await polled(served, most=2)
        second = await polled(served, most=2, held=[lease_of(first)])
        assert second.run_id != first.run_id
        assert (first.epoch, second.epoch) == (1, 2)
        assert {run.deliveries for run in _runs(served)} == {1}


# Leases


async def test_a_lease_stands_for_the_time_out_after_its_poll(served: Served) -> None:
    """To the last moment, and not longer: then it is another's."""
    lease = await a_polled_run(served)
    assert await expire(served, 29) == 0
    assert await state_of(served, lease.run_id) == "RUNNING"
    assert await expire(served, 1) == 1
    again = await polled(served, instance_id="p2")
    assert (again.run_id, again.epoch, again.attempt) == (lease.run_id, 2, 0)
    assert await statuses(served, ended(lease)) == ["STALE_EPOCH"]
    assert await statuses(served, ended(again)) == ["COMMITTED"]


async def test_the_time_that_a_poll_waits_is_no_silence(served: Served) -> None:
    """What its worker holds stands meanwhile, and for the time-out after that."""
    lease = await a_polled_run(served)
    call = polling(served, wait=LONG, held=[lease_of(lease)])
    await served.served("checkout")
    assert await expire(served, 60 + 29) == 0
    await served.send(EVENT)
    await call
    assert await expire(served, 29) == 0
    assert await statuses(served, ended(lease)) == ["COMMITTED"]


async def test_a_poll_keeps_what_it_names(served: Served) -> None:
    """It tells which of the leases stand; those that it does not name were lost, and come again."""
    await served.register("checkout")
    await served.send(EVENT, EVENT)
    kept, lost = (await polling(served, most=2)).invocations
    stranger = work.Lease(run_id=kept.run_id, epoch=7)
    answer = await polling(served, held=[lease_of(kept), stranger])
    assert list(answer.welcome.resumed) == [lease_of(kept)]
    (again,) = answer.invocations
    assert (again.run_id, again.epoch, again.attempt) == (lost.run_id, 2, 0)
    assert await statuses(served, ended(kept), ended(lost), ended(again)) == ["COMMITTED", "STALE_EPOCH", "COMMITTED"]


async def test_a_second_poll_ends_the_first(served: Served) -> None:
    """ABORTED: a worker has one poll at a time. The second is given the work."""
    await served.register("checkout")
    first = polling(served, wait=LONG)
    await served.served("checkout")
    second = polling(served, wait=LONG)
    refusal = await refusal_of(first)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "SESSION_SUPERSEDED")
    await served.send(EVENT)
    assert (await second).invocations[0].epoch == 1


async def test_a_stream_ends_a_poll_of_the_same_worker_and_takes_what_it_held(served: Served) -> None:
    """ABORTED; the lease is the stream's, with the same epoch."""
    lease = await a_polled_run(served)
    call = polling(served, wait=LONG, held=[lease_of(lease)])
    await served.served("checkout")
    worker = served.open_stream()
    hello = {"app_id": APP, "function_ids": ["checkout"], "instance_id": "p1", "held": [lease_of(lease)]}
    await worker.send(hello=hello)
    assert list((await worker.expect("welcome")).resumed) == [lease_of(lease)]
    assert (await refusal_of(call)).code is grpc.StatusCode.ABORTED
    await worker.report(ended(lease))
    assert (await worker.expect_acks(1))[0].status == work.ACK_STATUS_COMMITTED


async def test_a_poll_ends_a_stream_of_the_same_worker_and_takes_what_it_held(served: Served) -> None:
    """ABORTED on the stream; who is without it now goes on by single calls."""
    worker, lease = await a_run(served)
    answer = await polling(served, instance_id="w1", held=[lease_of(lease)])
    assert list(answer.welcome.resumed) == [lease_of(lease)]
    assert await worker.ended() == (grpc.StatusCode.ABORTED, "the worker opened a newer stream, or polled again")
    assert await expire(served, 29) == 0
    assert await statuses(served, ended(lease)) == ["COMMITTED"]


async def test_who_gives_up_while_it_waits_is_given_nothing(served: Served) -> None:
    """What comes afterwards is another's, with its first epoch."""
    await served.register("checkout")
    call = polling(served, wait=LONG)
    await served.served("checkout")
    call.cancel()
    await served.work_service.wait_idle()
    await served.served("checkout", 0)
    await served.send(EVENT)
    assert (await polled(served, instance_id="p2")).epoch == 1


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
async def test_who_gives_up_as_work_comes_loses_none(served: Served, *, is_first: bool) -> None:
    """Just before the run is given to it, or just after: the run is queued again at once, as if it had not been given."""
    await served.register("checkout")
    hello = work.Hello(app_id=APP, function_ids=["checkout"], instance_id="p1")
    request = work.PollWorkRequest(hello=hello, max_invocations=1, wait=LONG)
    # Without a socket between them the caller can leave at the very moment.
    poll = Poll(served.work_service._terms, request, seconds_left=None)
    waiting = asyncio.create_task(poll.run())
    await served.served("checkout")
    sent = served.mailbox.submit(_event())
    if not is_first:
        await sent
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await sent
    # What was done twice over has seen what goes back, and what that led to.
    for _ in range(2):
        await served.mailbox.submit_internal(ExpireSessions())
    (run,) = _runs(served)
    assert (run.state, run.deliveries, run.attempt) == (RunState.QUEUED, 0, 0)
    await served.served("checkout", 0)


async def test_a_run_is_cancelled_during_a_poll(served: Served) -> None:
    """The poll is answered at once, with why; it has no work, and the lease is gone."""
    lease = await a_polled_run(served)
    call = polling(served, wait=LONG, held=[lease_of(lease)])
    await served.served("checkout")
    await served.runs.CancelRun(run_pb2.CancelRunRequest(run_id=lease.run_id, reason="by hand"))
    answer = await call
    (cancellation,) = answer.cancellations
    assert (cancellation.run_id, cancellation.epoch, cancellation.reason) == (lease.run_id, 1, "by hand")
    assert len(answer.invocations) == 0
    assert list((await polling(served, held=[lease_of(lease)])).welcome.resumed) == []


async def test_a_worker_at_work_between_two_polls_is_there(served: Served) -> None:
    """Its function counts as served, so that nobody deletes it meanwhile."""
    lease = await a_polled_run(served)
    await served.served("checkout", 1)
    delete = function_pb2.DeleteFunctionRequest(app_id=APP, function_id="checkout")
    assert (await refusal_of(served.functions.DeleteFunction(delete))).reason == "IS_SERVED"
    await reported(served, ended(lease))
    await expire(served, 30)
    await served.functions.DeleteFunction(delete)


async def test_namespaces_have_nothing_of_each_other(served: Served) -> None:
    """A lease of one is none in the other."""
    lease = await a_polled_run(served)
    definition = function_pb2.FunctionDefinition(app_id=APP, function_id="checkout")
    definition.triggers.add().event.event = EVENT
    await served.functions.RegisterFunction(
        function_pb2.RegisterFunctionRequest(namespace="other", definition=definition)
    )
    answer = await polling(served, namespace="other", held=[lease_of(lease)])
    assert (list(answer.welcome.resumed), list(answer.invocations)) == ([], [])
    assert await statuses(served, ended(lease)) == ["COMMITTED"]


# Going away


async def test_the_server_drains(served: Served) -> None:
    """Polls are answered, no new one is taken, and what they hold may still be reported."""
    lease = await a_polled_run(served)
    call = polling(served, wait=LONG, held=[lease_of(lease)])
    await served.served("checkout")
    served.mailbox.close_to_callers()
    served.work_service.drain()
    answer = await call
    assert (list(answer.welcome.resumed), list(answer.invocations)) == ([lease_of(lease)], [])
    await served.work_service.wait_idle()
    refusal = await refusal_of(polling(served))
    assert (refusal.code, refusal.reason, refusal.retry_seconds) == (grpc.StatusCode.UNAVAILABLE, "STOPPING", 1.0)
    assert await statuses(served, ended(lease)) == ["COMMITTED"]


# What is wrong with a poll


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"hello": None}, ["hello.app_id", "hello.function_ids", "hello.instance_id"]),
        ({"namespace": "a b"}, ["hello.namespace"]),
        ({"app_id": ""}, ["hello.app_id"]),
        ({"function_ids": ["checkout", "unknown"]}, ["hello.function_ids[1]"]),
        ({"instance_id": "x" * 129}, ["hello.instance_id"]),
        ({"most": 0}, ["max_invocations"]),
        ({"most": 1_001}, ["max_invocations"]),
        ({"wait": {"seconds": 60, "nanos": 1_000}}, ["wait"]),
        ({"wait": {"nanos": -1_000}}, ["wait"]),
        ({"held": [{"epoch": 1}]}, ["hello.held[0].run_id"]),
        (
            {"held": [{"run_id": "r", "epoch": 1}, {"run_id": "r" * 257}]},
            ["hello.held[1].run_id", "hello.held[1].epoch"],
        ),
        ({"held": [{"run_id": "r", "epoch": 1}] * 1_001}, ["hello.held"]),
    ],
)
async def test_a_bad_poll(served: Served, changed: dict[str, Any], fields: list[str]) -> None:
    """INVALID_ARGUMENT with the path of each field, and nothing is changed."""
    await served.register("checkout")
    await served.send(EVENT)
    before = served.stored()
    if "hello" in changed:
        call = served.work.PollWork(work.PollWorkRequest(max_invocations=1))
    else:
        call = polling(served, **changed)
    refusal = await refusal_of(call)
    assert (refusal.code, list(refusal.violations)) == (INVALID, fields)
    assert served.stored() == before


async def test_bounds_that_are_just_met(served: Served) -> None:
    """As many invocations, as long a wait and as many leases as there may be."""
    await served.register("checkout")
    await served.send(EVENT)
    held = [{"run_id": "r" * 256, "epoch": 1}] * 1_000
    answer = await polling(served, most=1_000, wait=LONG, held=held, instance_id="x" * 128)
    assert (len(answer.invocations), len(answer.welcome.resumed)) == (1, 0)


def _event() -> SendEvents:
    return SendEvents(namespace="default", events=(NewEvent("", EVENT, b"{}", "", None, "", ""),), size=1)


def _runs(served: Served) -> list[Any]:
    return [view.run for view in served.stored()[0]]
