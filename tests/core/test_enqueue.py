"""Runs of events, as far as flow control lets them be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controlplane.core.decision import Decision
from controlplane.core.definition import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    FunctionRow,
    Options,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from controlplane.core.enqueue import flush, keys_of, offer, start, start_plain
from controlplane.core.flow import read_buffer
from controlplane.core.ids import run_span_id
from controlplane.core.limits import BATCH_DATA_BYTES_MAX, DAY, HOUR, MINUTE, PRIORITY_MAX, SECOND
from controlplane.core.reasons import Reason
from controlplane.core.records import EventRow, FlowKind, RunRow, TimerKind
from controlplane.core.states import RunState
from tests.core.decisions import decision, shop_function
from tests.store.rows import NOW, event


def with_options(**options: Any) -> FunctionRow:
    """The function of all runs here, with flow control."""
    row = shop_function()
    return row._replace(definition=row.definition._replace(options=Options(**options)))


def sent(key: int, **data: Any) -> EventRow:
    """An event with this data."""
    return event(key, data=json.dumps(data).encode())


class Turns:
    """Turns one after the other, each of which remembers what the one before wrote."""

    def __init__(self, function: FunctionRow) -> None:
        self.function = function
        self.d = decision()
        self.d.functions[function.key] = function
        self._events = 0

    def wait(self, duration: int) -> None:
        """Let time pass."""
        d = decision(now=self.d.now + duration)
        d.functions, d.runs, d.flow, d.events = self.d.functions, self.d.runs, self.d.flow, self.d.events
        self.d = d

    def send(self, **data: Any) -> RunRow | None:
        """Offer an event; the result is the run that it started, if it did."""
        self._events += 1
        row = sent(self._events, **data)
        for key in keys_of(self.function, row):
            self.d.flow.setdefault(key, None)
        return offer(self.d, self.function, row, is_invoked=False)

    def flush(self) -> list[RunRow]:
        """Fire all buffers; the runs that they started."""
        before = set(self.d.runs)
        for key in [key for key in self.d.flow if key[1] in (FlowKind.BATCH, FlowKind.DEBOUNCE)]:
            flush(self.d, key)
        return [run for id_, run in self.d.runs.items() if id_ not in before]

    @property
    def skipped(self) -> list[RunRow]:
        """The runs that were skipped in this turn."""
        return [run for run in self.d.new_runs.values() if run.state is RunState.SKIPPED]


def test_a_plain_run_belongs_to_its_event_and_function() -> None:
    """It is queued, and carries the event's trace on."""
    d = decision()
    one = event(1, namespace="other", tracestate="vendor=1")
    first, second = start_plain(d, shop_function(), one), start_plain(d, shop_function(), event(2))

    assert first.id < second.id
    assert list(d.new_runs.values()) == [first, second]
    assert (first.namespace, first.function_key, first.event_key, first.created_at, first.tracestate) == (
        "other",
        1,
        1,
        NOW,
        "vendor=1",
    )
    assert (first.state, first.epoch, first.attempt, first.session_id, first.queued_at, first.ended_at) == (
        RunState.QUEUED,
        0,
        0,
        None,
        NOW,
        None,
    )
    assert f"{one.traceparent[:36]}{run_span_id(first.id)}-01" == first.traceparent
    assert first.traceparent != second.traceparent
    assert (first.lane, first.extra, first.has_timers) == (0, None, False)


def test_a_rate_limit_is_exact_in_any_period() -> None:
    """So many and no more, wherever the period begins; what is beyond it is recorded, with the reason."""
    turns = Turns(with_options(rate_limit=RateLimit(2, 10 * SECOND, "event.data.k")))

    assert turns.send(k=1) is not None
    turns.wait(9 * SECOND)
    assert turns.send(k=1) is not None
    assert turns.send(k=1) is None
    (skipped,) = turns.skipped
    assert skipped.failure is not None
    assert (skipped.failure.reason, skipped.ended_at) == (Reason.SKIPPED, turns.d.now)
    assert "rate limit" in skipped.failure.message
    assert turns.d.ended == [skipped]
    turns.wait(SECOND)
    assert turns.send(k=1) is not None, "the first has left the period"
    assert turns.send(k=1) is None
    assert turns.send(k=2) is not None, "another key has a limit of its own"


@pytest.mark.parametrize("value", [False, None])
def test_a_key_that_is_false_or_null_switches_a_control_off(value: object) -> None:
    """And so does one that errs."""
    turns = Turns(with_options(rate_limit=RateLimit(1, 10 * SECOND, "event.data.k")))

    assert [turns.send(k=value) is not None for _ in range(3)] == [True] * 3
    assert [turns.send() is not None for _ in range(3)] == [True] * 3


def test_a_batch_is_full_by_number() -> None:
    """The event that fills it starts one run with all of them, in order; the next one begins a new batch."""
    turns = Turns(with_options(batch=Batch(3, 5 * SECOND)))

    assert (turns.send(), turns.send()) == (None, None)
    (timer,) = turns.d.new_timers
    assert (timer.kind, timer.due_at) == (TimerKind.FLUSH, NOW + 5 * SECOND)
    run = turns.send()
    assert run is not None
    assert run.extra is not None
    assert (run.event_key, run.extra.more_events) == (1, (2, 3))
    assert turns.send() is None
    assert turns.flush() == []
    turns.wait(5 * SECOND)
    (rest,) = turns.flush()
    assert (rest.event_key, rest.extra) == (4, None)
    assert turns.flush() == []


def test_a_timer_of_a_batch_that_is_gone_starts_nothing_early() -> None:
    """It waits for the batch that is there now."""
    turns = Turns(with_options(batch=Batch(2, 5 * SECOND)))
    turns.send()
    turns.wait(4 * SECOND)
    turns.send()
    turns.send()
    turns.wait(SECOND)

    assert turns.flush() == []
    assert [timer.due_at for timer in turns.d.new_timers] == [NOW + 9 * SECOND]
    turns.wait(4 * SECOND)
    assert len(turns.flush()) == 1


def test_a_batch_is_full_by_size() -> None:
    """Before the event that would make it too large to be sent to a worker."""
    turns = Turns(with_options(batch=Batch(100, 5 * SECOND)))
    text = "x" * (BATCH_DATA_BYTES_MAX // 2)
    turns.send(text=text)
    turns.send(text=text)

    (run,) = turns.d.new_runs.values()
    assert (run.event_key, run.extra) == (1, None)
    row = next(row for row in turns.d.flow.values() if row is not None)
    assert read_buffer(row).event_keys == (2,)
    assert row.holds_event == 2


def test_an_event_that_is_not_to_be_batched_starts_a_run() -> None:
    """At once, and the others wait on."""
    turns = Turns(with_options(batch=Batch(2, 5 * SECOND, "event.data.k", "event.data.n > 0")))

    assert turns.send(k=1, n=0) is not None
    assert turns.send(k=1) is not None, "an expression that errs is not true"
    assert turns.send(k=1, n=1) is None
    assert turns.send(k=2, n=1) is None, "each key has a batch of its own"
    assert turns.send(k=False, n=1) is not None, "the key switches batching off"
    assert turns.send(k=1, n=1) is not None


def test_a_debounce_takes_the_newest_once_it_is_quiet() -> None:
    """Each event moves the moment, but not beyond the time-out."""
    turns = Turns(with_options(debounce=Debounce(2 * SECOND, "", 5 * SECOND)))
    for _ in range(5):
        assert turns.send() is None
        turns.wait(SECOND)

    (run,) = turns.flush()
    assert run.event_key == 5
    assert turns.send() is None
    turns.wait(2 * SECOND - 1)
    assert turns.flush() == []
    turns.wait(1)
    (run,) = turns.flush()
    assert run.event_key == 6


def test_an_invocation_that_is_superseded_is_told() -> None:
    """Whoever invoked the function does not wait for a run that never comes."""
    turns = Turns(with_options(debounce=Debounce(2 * SECOND)))
    invoked = sent(1)
    turns.d.flow.update(dict.fromkeys(keys_of(turns.function, invoked)))
    offer(turns.d, turns.function, invoked, is_invoked=True)
    offer(turns.d, turns.function, sent(2), is_invoked=True)

    assert turns.d.superseded == [invoked]


def test_a_singleton_skips_while_one_is_not_over() -> None:
    """The holder is known by its key; another key is free."""
    turns = Turns(with_options(singleton=Singleton("event.data.k")))

    first = turns.send(k=1)
    assert first is not None
    assert turns.send(k=1) is None
    assert turns.send(k=2) is not None
    turns.d.set_run(first._replace(state=RunState.COMPLETED))
    assert turns.send(k=1) is not None


def test_a_singleton_may_take_the_place_of_the_one_before() -> None:
    """That one is cancelled."""
    turns = Turns(with_options(singleton=Singleton("", cancels=True)))
    first, second = turns.send(), turns.send()

    assert first is not None
    assert second is not None
    assert (turns.d.runs[first.id].state, second.state) == (RunState.CANCELLED, RunState.QUEUED)
    row = next(row for row in turns.d.flow.values() if row is not None)
    assert row.value == second.id


def test_an_idempotency_key_counts_for_a_day() -> None:
    """Not a moment longer."""
    turns = Turns(with_options(idempotency="event.data.k"))

    assert turns.send(k=1) is not None
    turns.wait(DAY - 1)
    assert turns.send(k=1) is None
    turns.wait(1)
    assert turns.send(k=1) is not None


def test_who_is_skipped_by_one_control_cancels_nobody_by_another() -> None:
    """A second event with the same idempotency key leaves the singleton's run alone."""
    turns = Turns(with_options(singleton=Singleton("", cancels=True), idempotency="event.data.k"))
    first = turns.send(k=1)

    assert first is not None
    assert turns.send(k=1) is None
    assert turns.d.runs[first.id].state is RunState.QUEUED


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("300", 300), ("-10", -10), ("601", 600), ("-1e9", -600), ("event.data.nothing", 0), ("'high'", 0), ("true", 0)],
)
def test_a_priority_moves_a_run_in_the_queue(expression: str, seconds: int) -> None:
    """By seconds, up to ten minutes; what is no number counts as none."""
    run = start(decision(), with_options(priority=expression), [sent(1)])

    assert run.queued_at == NOW - seconds * SECOND
    assert abs(NOW - run.queued_at) <= PRIORITY_MAX


def test_what_counts_at_execution_is_remembered_by_the_run() -> None:
    """Its places, its lane, its time-out and what cancels it."""
    d = decision()
    function = with_options(
        concurrency=(Concurrency(1, "event.data.k"), Concurrency(5, holds_run=True)),
        throttle=Throttle(1, MINUTE),
        timeouts=Timeouts(start=HOUR),
        cancel=(CancelOn("app/stop", "data.k"), CancelOn("app/stop", "data.missing")),
    )
    run, same, other = (start(d, function, [sent(n, k=k)]) for n, k in ((1, "a"), (2, "a"), (3, "b")))

    assert run.extra is not None
    assert [(slot.limit_index, slot.holds_run) for slot in run.extra.slots] == [(0, False), (1, True)]
    assert run.lane == same.lane != other.lane
    assert run.has_timers
    assert [(timer.kind, timer.subject, timer.due_at) for timer in d.new_timers][:1] == [
        (TimerKind.START, run.id, NOW + HOUR)
    ]
    waits = [row for row in d.new_waits if row.run_id == run.id]
    assert [(row.step_key, row.event, row.path, row.value) for row in waits] == [("", "app/stop", "data.k", '"a"')]


def test_a_replay_passes_by_what_decides_whether_a_run_is_to_be() -> None:
    """It has the events of the old one, and says which that is."""
    d: Decision = decision()
    run = start(d, with_options(rate_limit=RateLimit(1, SECOND)), [sent(1), sent(2)], replay_of="old")

    assert run.extra is not None
    assert (run.extra.replay_of, run.extra.more_events) == ("old", (2,))
    assert d.flow == {}
