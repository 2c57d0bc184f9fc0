"""What users put where a key is taken from may be nested as deep, or be as large, as an event may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.core.definition import CancelOn, Concurrency, Debounce, Options, RateLimit, Singleton, Throttle
from controlplane.core.enqueue import keys_of, offer
from controlplane.core.limits import SECOND
from controlplane.core.records import EventRow, FlowKind
from controlplane.core.requests import WaitedEvent
from controlplane.core.states import RunState
from controlplane.core.waits import WaitShapes, rows_of_step
from tests.core.decisions import decision, shop_function
from tests.store.rows import event

#: From what is compared to what the parser takes, and beyond it.
DEPTHS = [10, 200, 450, 490, 500, 900, 1_000, 1_023, 1_024, 2_000, 100_000]
HUGE = "x" * 400_000


def deep(key: int, depth: int, kind: str) -> EventRow:
    """An event whose key is nested so deep."""
    opening, closing = (b'{"a":', b"}") if kind == "object" else (b"[", b"]")
    return event(key, data=b'{"k":' + opening * depth + b"1" + closing * depth + b"}", encoding="")


def run_of(row: EventRow, **options: Any) -> Any:
    """What comes of an event under these controls: the decision, and the run that it started, if it did."""
    function = shop_function()
    function = function._replace(definition=function.definition._replace(options=Options(**options)))
    d = decision()
    d.functions[function.key] = function
    d.flow.update(dict.fromkeys(keys_of(function, row)))
    return d, offer(d, function, row, is_invoked=False)


CONTROLS: list[Callable[[str], dict[str, Any]]] = [
    lambda key: {"concurrency": (Concurrency(1, key),)},
    lambda key: {"throttle": Throttle(1, SECOND, 1, key)},
    lambda key: {"rate_limit": RateLimit(1, SECOND, key)},
    lambda key: {"singleton": Singleton(key)},
    lambda key: {"idempotency": key},
    lambda key: {"priority": key},
]


@pytest.mark.parametrize("kind", ["object", "list"])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("control", CONTROLS)
def test_a_key_that_is_too_deep_switches_its_control_off(
    control: Callable[[str], dict[str, Any]], depth: int, kind: str
) -> None:
    """The event starts its run all the same, and the turn goes on."""
    _, run = run_of(deep(1, depth, kind), **control("event.data.k"))
    assert run is not None
    assert run.state is RunState.QUEUED


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_debounce_with_a_key_that_is_too_deep_is_none(depth: int) -> None:
    """Its event is held back under a key that can be compared, or starts its run at once."""
    d, run = run_of(deep(1, depth, "list"), debounce=Debounce(SECOND, "event.data.k"))
    held = [row for key, row in d.flow.items() if key[1] is FlowKind.DEBOUNCE and row is not None]
    assert (run is not None) != bool(held)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_value_that_is_too_deep_is_equal_to_nothing(depth: int) -> None:
    """A wait that compares it is refused or kept; an event that has it meets what can be compared."""
    row = deep(1, depth, "object")
    waited = rows_of_step([WaitedEvent(row.name, "data.k", "")], run_id="r1", step_key="w#0", started_by=row)
    shapes = WaitShapes([("default", row.name, "data.k")])
    assert len(shapes.keys_of(row)) == (0 if isinstance(waited, str) else 1)


def test_a_cancelling_event_with_a_value_that_is_too_deep_is_left_out() -> None:
    """The run starts, and can't be cancelled by it."""
    d, run = run_of(deep(1, 1_000, "list"), cancel=(CancelOn("stop", "data.k"),))
    assert run is not None
    assert d.new_waits == []


def test_of_a_huge_key_little_is_told() -> None:
    """A skipped run says which key it was, and does not store it once more."""
    row = event(1, data=b'{"k":"%s"}' % HUGE.encode(), encoding="")
    function = shop_function()
    limited = Options(rate_limit=RateLimit(1, SECOND, "event.data.k"))
    function = function._replace(definition=function.definition._replace(options=limited))
    d = decision()
    d.flow.update(dict.fromkeys(keys_of(function, row)))
    first, second = (offer(d, function, each, is_invoked=False) for each in (row, row._replace(key=2)))
    assert first is not None
    assert second is None
    (skipped,) = [run for run in d.new_runs.values() if run.state is RunState.SKIPPED]
    assert skipped.failure is not None
    assert "xxx" in skipped.failure.message
    assert len(skipped.failure.message) < 300
    assert sum(len(str(key)) for key in d.flow) < 300
