"""What a lineage holds, and what its limits cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from controlplane.core.ids import child_traceparent, step_span_id
from controlplane.core.limits import MIB
from controlplane.core.records import EventRow, Failure, JournalRow, RunRow
from controlplane.core.states import StepKind
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.rpc.lineage import build_lineage
from controlplane.store.interface import Store
from controlplane.store.sqlite.open import SqliteStore
from tests.store import rows


@pytest.fixture
def store() -> Iterator[Store]:
    """A store with two functions and nothing else."""
    opened = SqliteStore.open(":memory:")
    with rows.committing(opened) as tx:
        tx.upsert_function(rows.function("checkout"))
        tx.upsert_function(rows.function("receipt"))
    yield opened
    opened.close()


def keep(
    store: Store, events: Sequence[EventRow], runs: Sequence[RunRow] = (), entries: Sequence[JournalRow] = ()
) -> None:
    """Store rows."""
    with rows.committing(store) as tx:
        tx.insert_events(events)
        tx.insert_runs(runs)
        tx.insert_entries(entries)


def lineage(store: Store, root: EventRow, *, run_limit: int = 100, bytes_max: int = MIB) -> run_pb2.GetLineageResponse:
    """The lineage of an event."""
    with store.read() as reader:
        return build_lineage(reader, root, run_limit=run_limit, bytes_max=bytes_max)


def sends(run_id: str, *event_ids: str) -> JournalRow:
    """A step that sent events."""
    return rows.entry(run_id, "send#0", kind=StepKind.SEND_EVENTS, event_ids=event_ids)


def ids_of(answer: run_pb2.GetLineageResponse) -> tuple[list[str], list[str]]:
    """The ids of the events and of the runs, in their order."""
    return [record.event.id for record in answer.events], [run.id for run in answer.runs]


def test_a_lineage_follows_events_and_runs_to_the_end(store: Store) -> None:
    """Events, the runs they started, the events those sent, and so on; nearest the root first."""
    a, b, c, d = rows.ids(4)
    root = rows.event(1)
    keep(
        store,
        [
            root,
            rows.event(2, source_run_id=a, source_step_key="send#0"),
            rows.event(3, source_run_id=c, source_step_key="send#0"),
            rows.event(4),
        ],
        [
            rows.run(a, event_key=1, step_count=2),
            rows.run(b, event_key=1, function_key=2),
            rows.run(c, event_key=2, step_count=1),
            rows.run(d, event_key=3),
        ],
        [rows.entry(a, "load#0"), sends(a, "event-2"), sends(c, "event-3")],
    )
    answer = lineage(store, root)
    assert ids_of(answer) == (["event-1", "event-2", "event-3"], [a, b, c, d])
    assert [(j.run_id, [e.step_key for e in j.entries]) for j in answer.journals] == [
        (a, ["load#0", "send#0"]),
        (c, ["send#0"]),
    ]
    assert answer.runs[1].function_id == "receipt"
    assert answer.events[1].source_run_id == a
    assert not answer.truncated


def test_a_lineage_starts_where_it_is_asked_to(store: Store) -> None:
    """The lineage of a child event has nothing of its parents."""
    a, b = rows.ids(2)
    child = rows.event(2, source_run_id=a, source_step_key="send#0")
    keep(store, [rows.event(1), child], [rows.run(a, event_key=1), rows.run(b, event_key=2)])
    assert ids_of(lineage(store, child)) == (["event-2"], [b])


def test_an_event_without_runs_is_its_own_lineage(store: Store) -> None:
    """The root is there, and nothing else."""
    root = rows.event(1)
    keep(store, [root])
    assert lineage(store, root) == run_pb2.GetLineageResponse(events=lineage(store, root).events)
    assert ids_of(lineage(store, root)) == (["event-1"], [])


def test_steps_have_their_own_trace_context(store: Store) -> None:
    """A step's span is derived from run and step key; its trace is the run's."""
    (a,) = rows.ids(1)
    root = rows.event(1)
    keep(store, [root], [rows.run(a, event_key=1, step_count=1)], [rows.entry(a, "load#0")])
    entry = lineage(store, root).journals[0].entries[0]
    assert entry.traceparent == child_traceparent(rows.TRACE, step_span_id(a, "load#0"))


def test_values_and_stacks_are_left_out(store: Store) -> None:
    """A lineage tells how things went, not what was in them: no data, no outputs, no stacks."""
    (a,) = rows.ids(1)
    root = rows.event(1)
    failure = Failure("ValueError", "no", "line 1\nline 2")
    keep(
        store,
        [root],
        [rows.ended(rows.run(a, event_key=1, step_count=1))._replace(failure=failure)],
        [rows.entry(a, "load#0", failure=failure)],
    )
    with store.read() as reader:
        found = reader.find_event("default", "event-1")
        assert found is not None
        answer = build_lineage(reader, found, run_limit=1, bytes_max=MIB)
    (run,), entry = answer.runs, answer.journals[0].entries[0]
    assert not answer.events[0].event.data.data
    assert not run.HasField("output")
    assert not entry.HasField("output")
    assert (run.failure.message, run.failure.stack) == ("no", "")
    assert (entry.failure.message, entry.failure.stack) == ("no", "")


def fan_out(store: Store, count: int) -> tuple[EventRow, str, list[str]]:
    """A run whose step sent so many events, each of which started a run: the root, that run and those."""
    parent, *children = rows.ids(count + 1)
    root = rows.event(1)
    sent = [rows.event(2 + n, source_run_id=parent, source_step_key="send#0") for n in range(count)]
    runs = [rows.run(id_, event_key=2 + n) for n, id_ in enumerate(children)]
    keep(store, [root, *sent], [rows.run(parent, event_key=1, step_count=1), *runs], [sends(parent)])
    return root, parent, children


def test_the_run_limit_cuts_what_is_farthest(store: Store) -> None:
    """One run more than the limit: the last ones are left out, and the answer says so."""
    root, parent, children = fan_out(store, 5)
    answer = lineage(store, root, run_limit=5)
    assert ids_of(answer)[1] == [parent, *children[:4]]
    assert answer.truncated


def test_a_lineage_of_just_the_limit_is_whole(store: Store) -> None:
    """Exactly as many runs as the limit are not cut, and the answer says that there is no more."""
    root, parent, children = fan_out(store, 5)
    answer = lineage(store, root, run_limit=6)
    assert ids_of(answer)[1] == [parent, *children]
    assert not answer.truncated


def test_the_limit_holds_for_events_too(store: Store) -> None:
    """Events that started nothing can't swell an answer either."""
    (parent,) = rows.ids(1)
    root = rows.event(1)
    sent = [rows.event(2 + n, source_run_id=parent, source_step_key="send#0") for n in range(10)]
    keep(store, [root, *sent], [rows.run(parent, event_key=1)])
    answer = lineage(store, root, run_limit=4)
    assert ids_of(answer)[0] == ["event-1", "event-2", "event-3", "event-4", "event-5"]
    assert answer.truncated


def test_a_lineage_fits_into_a_message(store: Store) -> None:
    """Beyond so many bytes no more runs are added, and the answer says so."""
    root, parent, children = fan_out(store, 200)
    whole = lineage(store, root, run_limit=1_000)
    half = whole.ByteSize() // 2
    answer = lineage(store, root, run_limit=1_000, bytes_max=half)
    assert answer.truncated
    assert ids_of(answer)[1] == [parent, *children][: len(answer.runs)]
    assert 0 < len(answer.runs) < len(whole.runs)
    assert answer.ByteSize() < half + 2_000


def test_long_journals_are_read_in_parts(store: Store) -> None:
    """The steps of many runs are all there, however they were read."""
    root = rows.event(1)
    run_ids = rows.ids(5)
    keep(
        store,
        [root],
        [rows.run(id_, event_key=1, step_count=400) for id_ in run_ids],
        [rows.entry(id_, f"s#{n}") for id_ in run_ids for n in range(400)],
    )
    answer = lineage(store, root)
    assert [(j.run_id, len(j.entries)) for j in answer.journals] == [(id_, 400) for id_ in run_ids]


def test_an_event_id_that_came_back_is_no_circle(store: Store) -> None:
    """A run that sends an event with the id of its own event starts another run, and the lineage ends there."""
    a, b = rows.ids(2)
    root = rows.event(1, id="again")
    keep(
        store,
        [root, rows.event(2, id="again", source_run_id=a, source_step_key="send#0")],
        [rows.run(a, event_key=1, step_count=1), rows.run(b, event_key=2)],
        [sends(a, "again")],
    )
    assert ids_of(lineage(store, root)) == (["again", "again"], [a, b])
