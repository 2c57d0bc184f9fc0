"""Defining functions: what the server is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from steplane import Context, ContextSync, Steplane, TriggerCron, TriggerEvent


def test_a_definition_says_what_was_written() -> None:
    """Triggers, retries, delays and name arrive as they were written."""
    client = Steplane(app_id="shop")

    @client.create_function(
        fn_id="pay",
        name="Pay an order",
        trigger=[
            TriggerEvent(event="shop/order.*", expression="event.data.total > 0"),
            TriggerCron(cron="0 12 * * 5", tz="Europe/Berlin"),
        ],
        retries=7,
        retry_delays=[500, timedelta(minutes=1)],
        retry_jitter=timedelta(seconds=2),
    )
    async def pay(ctx: Context) -> None:
        """Pay."""

    definition = pay.definition
    assert (definition.app_id, definition.function_id, definition.name) == ("shop", "pay", "Pay an order")
    event, cron = definition.triggers
    assert (event.event.event, event.event.expression) == ("shop/order.*", "event.data.total > 0")
    assert (cron.cron.cron, cron.cron.time_zone) == ("0 12 * * 5", "Europe/Berlin")
    assert definition.retry.retries == 7
    assert [delay.ToTimedelta() for delay in definition.retry.delays] == [timedelta(seconds=0.5), timedelta(minutes=1)]
    assert definition.retry.jitter.ToTimedelta() == timedelta(seconds=2)


def test_what_is_not_said_is_left_to_the_server() -> None:
    """A function without settings has the server's default policy."""
    function = Steplane(app_id="shop").create_function(fn_id="a", trigger=TriggerEvent(event="b"))(lambda ctx: None)
    retry = function.definition.retry
    assert not retry.HasField("retries")
    assert not retry.delays
    assert not retry.HasField("jitter")


def test_own_delays_have_no_default_jitter() -> None:
    """Who says when to try again gets it then; no retries at all can be said too."""
    client = Steplane(app_id="shop")
    function = client.create_function(fn_id="a", trigger=TriggerEvent(event="b"), retries=0, retry_delays=[100])(print)
    retry = function.definition.retry
    assert (retry.HasField("jitter"), retry.jitter.ToTimedelta()) == (True, timedelta())
    assert (retry.HasField("retries"), retry.retries) == (True, 0)


def test_a_function_stays_what_it_was() -> None:
    """A decorated function can be called, read and asked for its name as before."""
    client = Steplane(app_id="shop")

    @client.create_function(fn_id="a", trigger=TriggerEvent(event="b"))
    def double(value: Any) -> Any:
        """Twice the value."""
        return 2 * value

    assert (double(2), double.__name__, double.__doc__, double.id) == (4, "double", "Twice the value.", "a")
    assert repr(double) == "<Function shop/a>"


class Callable:
    """A callable object with an async call."""

    async def __call__(self, ctx: Context) -> None:
        """Do nothing."""


async def on_loop(ctx: Context) -> None:
    """Do nothing."""


def in_thread(ctx: ContextSync) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("handler", "is_async"), [(on_loop, True), (Callable(), True), (in_thread, False), (print, False)]
)
def test_functions_are_told_apart_once(handler: Any, *, is_async: bool) -> None:
    """`async def` runs on the loop, plain `def` in a thread; which is which is known when it is defined."""
    function = Steplane(app_id="shop").create_function(fn_id="a", trigger=TriggerEvent(event="b"))(handler)
    assert function.is_async is is_async


def test_mistakes_are_told_at_once() -> None:
    """A function twice, no delays, no function, no slot, a bad address: errors where they are written."""
    client = Steplane(app_id="shop")
    client.create_function(fn_id="a", trigger=TriggerEvent(event="b"))(in_thread)
    with pytest.raises(ValueError, match="'a' is defined twice"):
        client.create_function(fn_id="a", trigger=TriggerEvent(event="b"))
    with pytest.raises(ValueError, match="retry_delays is empty"):
        client.create_function(fn_id="c", trigger=TriggerEvent(event="b"), retry_delays=[])
    with pytest.raises(ValueError, match="1 slot or more"):
        client.worker(slots=0)
    with pytest.raises(ValueError, match="needs a function"):
        Steplane(app_id="empty").worker()


@pytest.mark.parametrize("address", ["http://localhost:7100", "localhost", "localhost:99999", "local host:1", ":7100"])
def test_a_bad_address_is_refused_where_it_is_written(address: str) -> None:
    """An address is host:port; the error shows one."""
    with pytest.raises(ValueError, match=r"has to be host:port, for example 127\.0\.0\.1:7100"):
        Steplane(app_id="shop", address=address)


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """STEPLANE_ADDRESS is the default, and what is written goes before it."""
    monkeypatch.setenv("STEPLANE_ADDRESS", "bad")
    with pytest.raises(ValueError, match="'bad'"):
        Steplane(app_id="shop")
    Steplane(app_id="shop", address="[::1]:7100")
