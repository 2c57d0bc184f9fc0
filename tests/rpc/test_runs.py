"""RunService over gRPC, on a store that holds just what a test put there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from controlplane.core.ids import child_traceparent, step_span_id
from controlplane.core.limits import KIB, MIB, SECOND, Limits
from controlplane.core.states import RunState, StepState
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.gen.steplane.v1 import run_pb2, run_pb2_grpc
from controlplane.rpc.interceptors import Calls
from controlplane.rpc.questions import Questions
from controlplane.rpc.runs import RunService
from controlplane.store.interface import Store
from controlplane.store.sqlite.open import SqliteStore
from tests.store import rows

Runs = run_pb2_grpc.RunServiceStub


@pytest.fixture
def store() -> Iterator[Store]:
    """A store with two functions, an event and nothing else."""
    opened = SqliteStore.open(":memory:")
    with rows.committing(opened) as tx:
        tx.upsert_function(rows.function("checkout"))
        tx.upsert_function(rows.function("receipt", app_id="mail"))
        tx.insert_events([rows.event(1)])
    yield opened
    opened.close()


@pytest.fixture
def hub() -> RunHub:
    """What tells watchers of commits."""
    return RunHub()


@pytest.fixture
async def runs(store: Store, hub: RunHub) -> AsyncIterator[Runs]:
    """A client of a server whose mailbox nobody empties."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits())
    server = grpc.aio.server(interceptors=[Calls()])
    with ThreadPoolExecutor(2) as readers:
        service = RunService(
            questions=Questions(store, readers),
            mailbox=mailbox,
            hub=hub,
            limits=Limits(),
            sessions_serving=lambda *_: 0,
            is_paused=lambda *_: False,
        )
        run_pb2_grpc.add_RunServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Runs(channel)
        await server.stop(None)


async def refused(call: grpc.aio.UnaryUnaryCall[object, object]) -> tuple[grpc.StatusCode, list[str]]:
    """The status of a call that fails, and the fields that it blames."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    fields: list[str] = []
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields += [violation.field for violation in bad.field_violations]
    return caught.value.code(), fields


INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def test_get_a_run(store: Store, runs: Runs) -> None:
    """A run comes with its names, its output and its moments."""
    (id_,) = rows.ids(1)
    with rows.committing(store) as tx:
        tx.insert_runs([rows.ended(rows.run(id_, started_at=rows.NOW + SECOND), at=rows.NOW + 2 * SECOND)])
    run = (await runs.GetRun(run_pb2.GetRunRequest(run_id=id_))).run
    assert (run.id, run.app_id, run.function_id, run.event_id) == (id_, "shop", "checkout", "event-1")
    assert run.event_name == "shop/order.created"
    assert run.state == run_pb2.RUN_STATE_COMPLETED
    assert run.output.data == b"1"
    assert [run.create_time, run.start_time, run.end_time] == [_at(0), _at(1), _at(2)]
    assert not run.HasField("due_time")
    assert run.traceparent == rows.TRACE


@pytest.mark.parametrize(
    "ask",
    [
        lambda runs: runs.GetRun(run_pb2.GetRunRequest(run_id="R0")),
        lambda runs: runs.ListJournal(run_pb2.ListJournalRequest(run_id="R0")),
        lambda runs: runs.GetLineage(run_pb2.GetLineageRequest(event_id="E0")),
    ],
)
async def test_what_is_not_there_is_not_found(runs: Runs, ask: Callable[[Runs], grpc.aio.UnaryUnaryCall]) -> None:
    """NOT_FOUND, with the name that was asked for."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(runs)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "'R0'" in (caught.value.details() or "") or "'E0'" in (caught.value.details() or "")


async def test_a_run_of_another_namespace_is_not_found(store: Store, runs: Runs) -> None:
    """A tenant sees nothing of the others."""
    (id_,) = rows.ids(1)
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(id_)])
    assert (await refused(runs.GetRun(run_pb2.GetRunRequest(namespace="other", run_id=id_))))[0] is (
        grpc.StatusCode.NOT_FOUND
    )
    journal = runs.ListJournal(run_pb2.ListJournalRequest(namespace="other", run_id=id_))
    assert (await refused(journal))[0] is grpc.StatusCode.NOT_FOUND
    assert not (await runs.ListRuns(run_pb2.ListRunsRequest(namespace="other"))).runs
    assert not (await runs.ListEvents(run_pb2.ListEventsRequest(namespace="other"))).events


async def test_runs_are_listed_in_pages(store: Store, runs: Runs) -> None:
    """Newest first, each run on one page, and no token on the last, even if it is full."""
    ids = rows.ids(6)
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(id_) for id_ in ids])
    seen, token, pages = [], "", 0
    while True:
        answer = await runs.ListRuns(run_pb2.ListRunsRequest(page_size=2, page_token=token))
        seen += [run.id for run in answer.runs]
        token, pages = answer.next_page_token, pages + 1
        if not token:
            break
    assert seen == ids[::-1]
    assert pages == 3


async def test_runs_are_filtered(store: Store, runs: Runs) -> None:
    """By app, function, state, event and moment of creation; filters narrow one another."""
    a, b, c = rows.ids(1) + rows.ids(1, at=rows.NOW + SECOND) + rows.ids(1, at=rows.NOW + 2 * SECOND)
    with rows.committing(store) as tx:
        tx.insert_events([rows.event(2)])
        tx.insert_runs(
            [
                rows.run(a),
                rows.run(b, function_key=2, event_key=2, created_at=rows.NOW + SECOND),
                rows.run(c, created_at=rows.NOW + 2 * SECOND, state=RunState.FAILED),
            ]
        )

    async def found(**filters: object) -> list[str]:
        answer = await runs.ListRuns(run_pb2.ListRunsRequest(**filters))  # type: ignore[arg-type]  # of any field
        return [run.id for run in answer.runs]

    assert await found() == [c, b, a]
    assert await found(app_id="mail") == [b]
    assert await found(function_id="checkout") == [c, a]
    assert await found(app_id="mail", function_id="checkout") == []
    assert await found(states=[run_pb2.RUN_STATE_FAILED]) == [c]
    assert await found(states=[run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_QUEUED]) == [c, b, a]
    assert await found(event_id="event-2") == [b]
    assert await found(create_time_min=_at(1)) == [c, b]
    assert await found(create_time_max=_at(1)) == [a]
    assert await found(function_id="checkout", create_time_min=_at(1)) == [c]


async def test_a_page_of_runs_ends_at_a_mebibyte(store: Store, runs: Runs) -> None:
    """Runs with long failures make shorter pages, not larger messages."""
    failure = rows.FAILURE._replace(message="x" * 30 * KIB, stack="y" * 30 * KIB)
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(id_, state=RunState.FAILED, failure=failure) for id_ in rows.ids(30)])
    answer = await runs.ListRuns(run_pb2.ListRunsRequest())
    assert MIB <= answer.ByteSize() < MIB + 64 * KIB
    rest = await runs.ListRuns(run_pb2.ListRunsRequest(page_token=answer.next_page_token))
    assert len(answer.runs) + len(rest.runs) == 30


async def test_a_journal_is_listed_in_pages(store: Store, runs: Runs) -> None:
    """Steps in the order of recording, each with its output and its trace context."""
    (id_,) = rows.ids(1)
    keys = [f"s{n}#0" for n in range(5)]
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(id_, step_count=5)])
        tx.insert_entries([rows.entry(id_, key) for key in keys])
    first = await runs.ListJournal(run_pb2.ListJournalRequest(run_id=id_, page_size=3))
    rest = await runs.ListJournal(run_pb2.ListJournalRequest(run_id=id_, page_size=3, page_token=first.next_page_token))
    assert [entry.step_key for entry in (*first.entries, *rest.entries)] == keys
    assert not rest.next_page_token
    assert first.entries[0].output.data == b"1"
    assert first.entries[0].traceparent == child_traceparent(rows.TRACE, step_span_id(id_, "s0#0"))


async def test_a_page_of_a_journal_ends_at_a_mebibyte(store: Store, runs: Runs) -> None:
    """A page ends with the step that fills it; the next one begins with the step after."""
    (id_,) = rows.ids(1)
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(id_, step_count=7)])
        tx.insert_entries([rows.entry(id_, f"s{n}#0", output=b"x" * 400 * KIB) for n in range(7)])
    seen, token, pages = [], "", 0
    while True:
        answer = await runs.ListJournal(run_pb2.ListJournalRequest(run_id=id_, page_token=token))
        assert answer.ByteSize() < MIB + 401 * KIB
        seen += [entry.step_key for entry in answer.entries]
        token, pages = answer.next_page_token, pages + 1
        if not token:
            break
    assert seen == [f"s{n}#0" for n in range(7)]
    assert pages == 3


async def test_the_due_time_of_a_step_is_told_while_it_waits(store: Store, runs: Runs) -> None:
    """A step that is to be tried again tells when."""
    (id_,) = rows.ids(1)
    retrying = rows.entry(
        id_, state=StepState.RETRYING, output=None, ended_at=None, failure=rows.FAILURE, due_at=rows.NOW + SECOND
    )
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(id_, step_count=1)])
        tx.insert_entries([retrying])
    (entry,) = (await runs.ListJournal(run_pb2.ListJournalRequest(run_id=id_))).entries
    assert entry.state == run_pb2.STEP_STATE_RETRYING
    assert entry.due_time == _at(1)
    assert entry.failure.name == "ValueError"
    assert not entry.HasField("end_time")
    assert not entry.HasField("output")


async def test_events_are_listed_in_pages(store: Store, runs: Runs) -> None:
    """Newest first, filtered by name and id."""
    with rows.committing(store) as tx:
        tx.insert_events([rows.event(key, name=f"shop/{'even' if key % 2 == 0 else 'odd'}") for key in range(2, 8)])
    first = await runs.ListEvents(run_pb2.ListEventsRequest(name="shop/odd", page_size=2))
    rest = await runs.ListEvents(
        run_pb2.ListEventsRequest(name="shop/odd", page_size=2, page_token=first.next_page_token)
    )
    assert [record.event.id for record in (*first.events, *rest.events)] == ["event-7", "event-5", "event-3"]
    assert not rest.next_page_token
    (one,) = (await runs.ListEvents(run_pb2.ListEventsRequest(id="event-4"))).events
    assert one.event.data.data == b'{"order": 1}'


async def test_a_page_of_events_ends_at_a_mebibyte(store: Store, runs: Runs) -> None:
    """Large events make shorter pages, not larger messages."""
    data = b'"' + b"x" * 500 * KIB + b'"'
    with rows.committing(store) as tx:
        tx.insert_events([rows.event(key, data=data) for key in range(2, 8)])
    answer = await runs.ListEvents(run_pb2.ListEventsRequest())
    assert [record.event.id for record in answer.events] == ["event-7", "event-6", "event-5"]
    assert answer.next_page_token


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda runs: runs.GetRun(run_pb2.GetRunRequest()), "run_id"),
        (lambda runs: runs.GetRun(run_pb2.GetRunRequest(namespace="a b", run_id="R1")), "namespace"),
        (lambda runs: runs.ListRuns(run_pb2.ListRunsRequest(page_size=-1)), "page_size"),
        (lambda runs: runs.ListRuns(run_pb2.ListRunsRequest(page_token="x")), "page_token"),
        (lambda runs: runs.ListRuns(run_pb2.ListRunsRequest(states=[run_pb2.RUN_STATE_QUEUED, 0])), "states[1]"),
        (lambda runs: runs.ListRuns(run_pb2.ListRunsRequest(states=[99])), "states[0]"),
        (
            lambda runs: runs.ListRuns(run_pb2.ListRunsRequest(create_time_min=Timestamp(seconds=2**62))),
            "create_time_min",
        ),
        (lambda runs: runs.ListRuns(run_pb2.ListRunsRequest(create_time_max=Timestamp(seconds=-1))), "create_time_max"),
        (lambda runs: runs.ListJournal(run_pb2.ListJournalRequest(run_id="R1", page_size=-1)), "page_size"),
        (lambda runs: runs.ListJournal(run_pb2.ListJournalRequest()), "run_id"),
        (lambda runs: runs.ListEvents(run_pb2.ListEventsRequest(page_token="!")), "page_token"),
        (lambda runs: runs.GetLineage(run_pb2.GetLineageRequest()), "event_id"),
        (lambda runs: runs.GetLineage(run_pb2.GetLineageRequest(event_id="E1", run_limit=-1)), "run_limit"),
        (lambda runs: runs.CancelRun(run_pb2.CancelRunRequest()), "run_id"),
        (lambda runs: runs.CancelRun(run_pb2.CancelRunRequest(run_id="R1", reason="x" * 1_025)), "reason"),
    ],
)
async def test_a_bad_request_names_its_field(
    runs: Runs, ask: Callable[[Runs], grpc.aio.UnaryUnaryCall], field: str
) -> None:
    """INVALID_ARGUMENT, with a violation for the field that is wrong."""
    assert await refused(ask(runs)) == (INVALID, [field])


async def test_a_token_of_another_journal_is_refused(store: Store, runs: Runs) -> None:
    """A token counts for the list that gave it out, and for no other."""
    a, b = rows.ids(2)
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(a, step_count=2), rows.run(b)])
        tx.insert_entries([rows.entry(a, "s#0"), rows.entry(a, "s#1")])
    token = (await runs.ListJournal(run_pb2.ListJournalRequest(run_id=a, page_size=1))).next_page_token
    assert token
    answer = runs.ListJournal(run_pb2.ListJournalRequest(run_id=b, page_size=1, page_token=token))
    assert await refused(answer) == (INVALID, ["page_token"])


async def test_watch_a_missing_run(runs: Runs) -> None:
    """NOT_FOUND."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(runs.WatchRun(run_pb2.WatchRunRequest(run_id="R0"))))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_watch_a_run_to_its_end(store: Store, runs: Runs, hub: RunHub) -> None:
    """The run as it is, as it changes, and as it ends; then the stream ends."""
    (id_,) = rows.ids(1)
    row = rows.run(id_)
    with rows.committing(store) as tx:
        tx.insert_runs([row])
    stream = aiter(runs.WatchRun(run_pb2.WatchRunRequest(run_id=id_)))
    assert (await anext(stream)).run.state == run_pb2.RUN_STATE_QUEUED
    for change in (rows.leased(row), rows.ended(row)):
        with rows.committing(store) as tx:
            tx.update_runs([change])
        hub.notify([id_])
        assert (await anext(stream)).run.state == int(change.state)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert not hub.is_watched


async def test_a_watcher_that_goes_away_is_forgotten(store: Store, runs: Runs, hub: RunHub) -> None:
    """A cancelled stream leaves nothing behind in the hub."""
    (id_,) = rows.ids(1)
    with rows.committing(store) as tx:
        tx.insert_runs([rows.run(id_)])
    call = runs.WatchRun(run_pb2.WatchRunRequest(run_id=id_))
    await anext(aiter(call))
    assert hub.is_watched
    call.cancel()
    async with asyncio.timeout(5):
        while hub.is_watched:  # noqa: ASYNC110 the hub has nobody to tell that it is empty
            await asyncio.sleep(0.001)


def _at(seconds: int) -> Timestamp:
    """So many seconds after the moment that rows begin with."""
    moment = Timestamp()
    moment.FromMicroseconds(rows.NOW + seconds * SECOND)
    return moment
