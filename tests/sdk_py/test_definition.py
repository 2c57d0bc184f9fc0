"""Defining functions: what the server is told of what was written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import text_format

from steplane import (
    Batch,
    Cancel,
    Concurrency,
    Context,
    Debounce,
    Priority,
    RateLimit,
    Retry,
    Singleton,
    Steplane,
    Throttle,
    Timeouts,
    TriggerCron,
    TriggerEvent,
)
from steplane.gen.steplane.v1 import function_pb2

HEAD = 'app_id: "shop" function_id: "a" triggers { event { event: "b" } }'


def definition(**options: Any) -> function_pb2.FunctionDefinition:
    """What the server is told of a function with these options."""
    options = {"trigger": TriggerEvent(event="b"), **options}
    return Steplane(app_id="shop").create_function(fn_id="a", **options)(print).definition


def test_a_definition_says_what_was_written() -> None:
    """Triggers, retries and name arrive as they were written."""
    client = Steplane(app_id="shop")

    @client.create_function(
        fn_id="pay",
        name="Pay an order",
        trigger=[
            TriggerEvent(event="shop/order.*", expression="event.data.total > 0"),
            TriggerCron(cron="0 12 * * 5", tz="Europe/Berlin"),
        ],
        retries=7,
    )
    async def pay(ctx: Context) -> None:
        """Pay."""

    definition = pay.definition
    assert (definition.app_id, definition.function_id, definition.name) == ("shop", "pay", "Pay an order")
    event, cron = definition.triggers
    assert (event.event.event, event.event.expression) == ("shop/order.*", "event.data.total > 0")
    assert (cron.cron.cron, cron.cron.time_zone) == ("0 12 * * 5", "Europe/Berlin")
    assert definition.retry.retries == 7
    assert not definition.retry.HasField("jitter")


def test_what_is_not_said_is_left_to_the_server() -> None:
    """A function without settings has the server's defaults: nothing else is in its definition."""
    assert definition() == text_format.Parse(HEAD, function_pb2.FunctionDefinition())


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"retries": 0}, "retry { retries: 0 }"),
        (
            {"retry": Retry(attempts=3, first_delay=500, jitter=timedelta(seconds=2))},
            "retry { retries: 2 delays { nanos: 500000000 } delays { seconds: 1 } jitter { seconds: 2 } }",
        ),
        (
            {
                "batch_events": Batch(
                    max_size=9, timeout=timedelta(minutes=1), key="event.data.k", if_exp="event.data.b"
                )
            },
            'batch { max_size: 9 timeout { seconds: 60 } key: "event.data.k" expression: "event.data.b" }',
        ),
        ({"cancel": Cancel(event="stop")}, 'cancel { event: "stop" }'),
        (
            {"cancel": [Cancel(event="x/*", match="data.u", timeout=1500), Cancel(event="y", if_exp="async.data.z")]},
            (
                'cancel { event: "x/*" match: "data.u" timeout { seconds: 1 nanos: 500000000 } }'
                'cancel { event: "y" expression: "async.data.z" }'
            ),
        ),
        (
            {"concurrency": 5},
            "concurrency { limit: 5 scope: CONCURRENCY_SCOPE_FUNCTION hold: CONCURRENCY_HOLD_INVOCATION }",
        ),
        (
            {
                "concurrency": [
                    Concurrency(limit=1, key="event.data.k", scope="app", hold="run"),
                    Concurrency(limit=2, scope="namespace"),
                ]
            },
            (
                'concurrency { limit: 1 key: "event.data.k" scope: CONCURRENCY_SCOPE_APP hold: CONCURRENCY_HOLD_RUN }'
                "concurrency { limit: 2 scope: CONCURRENCY_SCOPE_NAMESPACE hold: CONCURRENCY_HOLD_INVOCATION }"
            ),
        ),
        (
            {"debounce": Debounce(period=2000, key="event.data.k", timeout=timedelta(hours=1))},
            'debounce { period { seconds: 2 } key: "event.data.k" timeout { seconds: 3600 } }',
        ),
        ({"debounce": Debounce(period=2000)}, "debounce { period { seconds: 2 } }"),
        ({"priority": Priority(run="event.data.vip ? 60 : 0")}, 'priority { run: "event.data.vip ? 60 : 0" }'),
        (
            {"rate_limit": RateLimit(limit=3, period=60_000, key="event.data.k")},
            'rate_limit { limit: 3 period { seconds: 60 } key: "event.data.k" }',
        ),
        ({"singleton": Singleton()}, "singleton { mode: SINGLETON_MODE_SKIP }"),
        (
            {"singleton": Singleton(key="event.data.k", mode="cancel")},
            'singleton { key: "event.data.k" mode: SINGLETON_MODE_CANCEL }',
        ),
        ({"throttle": Throttle(limit=3, period=1000)}, "throttle { limit: 3 period { seconds: 1 } }"),
        (
            {"throttle": Throttle(limit=3, period=1000, burst=2, key="event.data.k")},
            'throttle { limit: 3 period { seconds: 1 } burst: 2 key: "event.data.k" }',
        ),
        ({"timeouts": Timeouts(finish=timedelta(days=1))}, "timeouts { finish { seconds: 86400 } }"),
        (
            {"timeouts": Timeouts(start=1000, finish=2000)},
            "timeouts { start { seconds: 1 } finish { seconds: 2 } }",
        ),
        ({"idempotency": "event.data.id"}, 'idempotency { key: "event.data.id" }'),
    ],
)
def test_each_option_is_told_as_it_is(option: dict[str, Any], expected: str) -> None:
    """All fields of all options, with units; whether they make sense together is the server's business."""
    assert definition(**option) == text_format.Parse(f"{HEAD} {expected}", function_pb2.FunctionDefinition())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"trigger": "app/a"}, "trigger: it has to be a TriggerEvent or a TriggerCron, not 'app/a'"),
        ({"trigger": TriggerEvent(event=3)}, "trigger: bad argument type"),  # type: ignore[arg-type]
        ({"retries": -1}, "retry: Value out of range"),
        ({"retries": 2, "retry": Retry(attempts=3, first_delay=1)}, "retry: give retry or retries, not both"),
        ({"retry": 3}, "retry: it has to be a Retry, not 3"),
        ({"cancel": "stop"}, "cancel: it has to be a Cancel, not 'stop'"),
        ({"cancel": ["stop"]}, "cancel: it has to be a Cancel, not 'stop'"),
        ({"concurrency": -1}, "concurrency: Value out of range"),
        ({"concurrency": [5]}, "concurrency: it has to be a Concurrency, not 5"),
        ({"concurrency": Concurrency(limit=1, scope="all")}, "scope='all' is none of 'fn', 'app', 'namespace'"),  # type: ignore[arg-type]
        ({"concurrency": Concurrency(limit=1, hold="all")}, "hold='all' is none of 'invocation', 'run'"),  # type: ignore[arg-type]
        ({"singleton": Singleton(mode="wait")}, "singleton: mode='wait' is none of 'skip', 'cancel'"),  # type: ignore[arg-type]
        ({"debounce": 1000}, "debounce: it has to be a Debounce, not 1000"),
        ({"debounce": Debounce(period=1.5)}, "debounce: a duration is a timedelta or a number of milliseconds"),  # type: ignore[arg-type]
        ({"timeouts": Timeouts(start="1s")}, "timeouts: a duration is a timedelta or"),  # type: ignore[arg-type]
        ({"idempotency": 5}, "idempotency: bad argument type"),
    ],
)
def test_what_can_t_be_told_is_refused_where_it_is_written(option: dict[str, Any], words: str) -> None:
    """The error names the function, the argument and what would do."""
    with pytest.raises(ValueError, match=r"^function 'a': ") as raised:
        definition(**option)
    assert words in str(raised.value)


def test_a_failure_handler_is_a_function_of_its_own() -> None:
    """It is triggered by the failures of its function alone, and has the default retries; the user's function keeps it."""
    client = Steplane(app_id="shop")
    pay = client.create_function(fn_id="pay", name="Pay", trigger=TriggerEvent(event="b"), retries=0, on_failure=print)(
        repr
    )
    handler = pay.failure_handler
    assert handler is not None
    assert (handler.handler, handler.is_async, handler.failure_handler) == (print, False, None)
    assert handler.definition == text_format.Parse(
        'app_id: "shop" function_id: "pay-on-failure" name: "Pay (failure handler)" triggers { event {'
        ' event: "steplane/function.failed" expression: "event.data.function_id == \\"shop/pay\\"" } }',
        function_pb2.FunctionDefinition(),
    )
    unnamed = client.create_function(fn_id="f", trigger=TriggerEvent(event="b"), on_failure=print)(repr).failure_handler
    assert unnamed is not None
    assert unnamed.definition.name == "f (failure handler)"
    with pytest.raises(ValueError, match="'pay-on-failure' is defined twice"):
        client.create_function(fn_id="pay-on-failure", trigger=TriggerEvent(event="b"))
