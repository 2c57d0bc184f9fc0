"""One function, for people."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration

from controlplane.client_commands.show.function_page import function_page
from controlplane.client_commands.show.pen import Pen
from controlplane.client_commands.show.times import exact_duration
from controlplane.gen.steplane.v1 import function_pb2
from tests.cli.messages import SECOND, at

Drawn = Callable[..., str]
IsGolden = Callable[[str, str], None]
USER = "event.data.user"


def seconds(number: int) -> Duration:
    """So many seconds."""
    return Duration(seconds=number)


def function(**options: object) -> function_pb2.Function:
    """A function with some options."""
    trigger = function_pb2.Trigger(event=function_pb2.EventTrigger(event="shop/order.created"))
    definition = function_pb2.FunctionDefinition(
        app_id="shop",
        function_id="checkout",
        triggers=[trigger],
        **options,  # type: ignore[arg-type]  # options of any kind
    )
    return function_pb2.Function(
        definition=definition, version=2, update_time=at(0), state=function_pb2.FUNCTION_STATE_PAUSED
    )


def test_flow_control_is_told_in_words(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """Each option that is set, in the order in which they act."""
    shown = function(
        name="Check out",
        retry=function_pb2.RetryPolicy(retries=4, delays=[seconds(15), seconds(90)], jitter=seconds(30)),
        rate_limit=function_pb2.RateLimit(limit=10, period=seconds(60), key=USER),
        debounce=function_pb2.Debounce(period=seconds(30), key=USER, timeout=seconds(300)),
        singleton=function_pb2.Singleton(key=USER, mode=function_pb2.SINGLETON_MODE_CANCEL),
        idempotency=function_pb2.Idempotency(key="event.data.order"),
        throttle=function_pb2.Throttle(limit=100, period=seconds(3600), burst=5),
        concurrency=[
            function_pb2.ConcurrencyLimit(limit=3, key=USER),
            function_pb2.ConcurrencyLimit(
                limit=1_000,
                scope=function_pb2.CONCURRENCY_SCOPE_NAMESPACE,
                hold=function_pb2.CONCURRENCY_HOLD_RUN,
            ),
        ],
        priority=function_pb2.Priority(run="event.data.is_gold ? 600 : 0"),
        timeouts=function_pb2.Timeouts(start=seconds(3600), finish=seconds(7200)),
        cancel=[
            function_pb2.CancelOn(event="shop/order.cancelled", match="data.order", timeout=seconds(86_400)),
            function_pb2.CancelOn(event="shop/closed", expression="async.data.shop == event.data.shop"),
        ],
    )
    is_golden("function", drawn(function_page(shown, pen)))


def test_a_batch_is_told_in_words(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """How many events it takes, for how long, and which are left out."""
    batch = function_pb2.Batch(max_size=50, timeout=seconds(5), key=USER, expression="event.data.n < 9")
    is_golden("function_batch", drawn(function_page(function(batch=batch), pen)))


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0 s"), (0.25, "0.25 s"), (1, "1 s"), (90, "1 min 30 s"), (3_601, "1 h 1 s"), (93_600, "1 d 2 h")],
)
def test_what_was_set_is_told_exactly(length: float, text: str) -> None:
    """No part of a length of time that somebody set is left out."""
    assert exact_duration(round(length * SECOND)) == text
