"""Runs of events."""

from __future__ import annotations

from controlplane.core.decision import Incoming
from controlplane.core.enqueue import enqueue
from controlplane.core.ids import run_span_id
from controlplane.core.states import RunState
from tests.core.decisions import decision, shop_function
from tests.store.rows import NOW, event


def test_each_pair_of_event_and_function_becomes_a_queued_run() -> None:
    """A run belongs to its event and function, and carries the event's trace on."""
    d = decision()
    one, two = event(1, namespace="other", tracestate="vendor=1"), event(2)
    d.starting = [(one, shop_function(), None), (two, shop_function(), None)]
    enqueue(d)
    first, second = d.new_runs

    assert first.id < second.id
    assert (
        first.namespace,
        first.function_key,
        first.event_key,
        first.created_at,
        first.tracestate,
    ) == ("other", 1, 1, NOW, "vendor=1")
    assert (
        first.state,
        first.epoch,
        first.attempt,
        first.session_id,
        first.queued_at,
        first.ended_at,
    ) == (RunState.QUEUED, 0, 0, None, NOW, None)
    assert f"{one.traceparent[:36]}{run_span_id(first.id)}-01" == first.traceparent
    assert first.traceparent != second.traceparent


def test_who_asked_for_a_run_is_told_its_id() -> None:
    """A run that was started by hand is told to the caller; all others are not."""
    d = decision()
    incoming = Incoming("default", (), function=shop_function())
    d.starting = [(event(1), shop_function(), incoming), (event(2), shop_function(), None)]
    enqueue(d)

    assert [d.new_runs[0].id] == incoming.run_ids
