"""Events on their way in: what is filled in, what is a duplicate, what is delayed."""

from __future__ import annotations

from controlplane.core.decision import Decision, Incoming
from controlplane.core.ids import is_traceparent
from controlplane.core.ingest import accept
from controlplane.core.limits import SECOND
from controlplane.core.records import NewEvent, TimerKind, TimerRow
from tests.core.decisions import decision, shop_function
from tests.store.rows import NOW, TRACE


def sent(id_: str = "", *, ts: int | None = None, traceparent: str = "") -> NewEvent:
    """An event as a producer sends it."""
    return NewEvent(id_, "order/created", b"{}", "", ts, traceparent, "vendor=1")


def accepted(d: Decision, *incoming: Incoming, known: set[tuple[str, str]] = frozenset()) -> Decision:  # type: ignore[assignment]  # an empty set of anything
    """The turn after these events came in."""
    d.incoming = list(incoming)
    d.event_ids = set(known)
    accept(d, 7)
    return d


def test_what_is_missing_is_filled_in() -> None:
    """An event without id, moment and trace context gets fresh ones."""
    incoming = Incoming("default", (sent(), sent()))
    d = accepted(decision(), incoming)
    first, second = d.new_events

    assert [first.key, second.key] == [7, 8]
    assert incoming.ids == [first.id, second.id]
    assert first.id < second.id
    assert (first.ts, first.received_at) == (NOW, NOW)
    assert is_traceparent(first.traceparent)
    assert first.traceparent[3:35] != second.traceparent[3:35]
    assert d.new_events == d.matching


def test_what_is_given_stays() -> None:
    """The producer's id, moment, trace context and data are kept as they are."""
    d = accepted(decision(), Incoming("other", (sent("e", ts=5, traceparent=TRACE),), "run-1", "notify#0"))

    (row,) = d.new_events
    assert row[1:6] == ("other", "e", "order/created", b"{}", "")
    assert row[6:] == (5, NOW, TRACE, "vendor=1", "run-1", "notify#0", 0)


def test_a_known_id_makes_no_second_event() -> None:
    """A duplicate is told by its id, and nothing of it is stored or matched."""
    incoming = Incoming("default", (sent("a"), sent("b")))
    d = accepted(decision(), incoming, known={("default", "a"), ("other", "b")})

    assert (incoming.ids, incoming.duplicates) == (["a", "b"], 1)
    assert [("b", 7)] == [(row.id, row.key) for row in d.new_events] == [(row.id, row.key) for row in d.matching]


def test_an_id_counts_once_in_a_turn() -> None:
    """Two calls of one turn, or two events of one call, are told apart no less than two turns."""
    one, two = Incoming("default", (sent("a"), sent("a"))), Incoming("default", (sent("a"), sent("b")))
    other = Incoming("other", (sent("a"),))
    d = accepted(decision(), one, two, other)

    assert [(row.namespace, row.id) for row in d.new_events] == [("default", "a"), ("default", "b"), ("other", "a")]
    assert [one.duplicates, two.duplicates, other.duplicates] == [1, 1, 0]
    assert one.ids == ["a", "a"]


def test_an_event_of_the_future_waits() -> None:
    """It is stored, and matched when its moment comes; one of this very moment is matched now."""
    d = accepted(decision(), Incoming("default", (sent("later", ts=NOW + 1), sent("now", ts=NOW), sent("old", ts=0))))

    assert [row.id for row in d.new_events] == ["later", "now", "old"]
    assert [row.id for row in d.matching] == ["now", "old"]
    assert [TimerRow(NOW + 1, TimerKind.EVENT, "7")] == d.new_timers


def test_an_event_for_one_function_starts_it_at_once() -> None:
    """Whatever its moment; whoever listens to such events hears of it as well, but does not start it a second time."""
    incoming = Incoming("default", (sent("a", ts=NOW + SECOND),), function=shop_function())
    d = accepted(decision(), incoming)

    assert d.matching == d.new_events
    assert d.not_started == {7: shop_function().key}
    assert d.new_timers == []
    assert [(d.new_events[0], shop_function(), incoming)] == d.starting


def test_a_duplicate_for_one_function_starts_nothing() -> None:
    """An id that is known starts its function no second time."""
    incoming = Incoming("default", (sent("a"),), function=shop_function())
    d = accepted(decision(), incoming, known={("default", "a")})

    assert d.starting == []
    assert d.new_events == []
