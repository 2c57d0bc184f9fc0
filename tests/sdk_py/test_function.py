"""Functions, and the client that defines them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from steplane import Context, ContextSync, Steplane, TriggerEvent
from tests.sdk_py.conftest import Running
from tests.sdk_py.peer import Peer


def test_a_function_stays_what_it_was() -> None:
    """A decorated function can be called, read and asked for its name as before."""
    client = Steplane(app_id="shop")

    @client.create_function(fn_id="a", trigger=TriggerEvent(event="b"))
    def double(value: Any) -> Any:
        """Twice the value."""
        return 2 * value

    assert (double(2), double.__name__, double.__doc__, double.id) == (4, "double", "Twice the value.", "a")
    assert repr(double) == "<Function shop/a>"


class CallableObject:
    """A callable object with an async call."""

    async def __call__(self, ctx: Context) -> None:
        """Do nothing."""


async def on_loop(ctx: Context) -> None:
    """Do nothing."""


def in_thread(ctx: ContextSync) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("handler", "is_async"), [(on_loop, True), (CallableObject(), True), (in_thread, False), (print, False)]
)
def test_functions_are_told_apart_once(handler: Any, *, is_async: bool) -> None:
    """`async def` runs on the loop, plain `def` in a thread; which is which is known when it is defined."""
    function = Steplane(app_id="shop").create_function(fn_id="a", trigger=TriggerEvent(event="b"))(handler)
    assert function.is_async is is_async


def test_mistakes_are_told_at_once() -> None:
    """A function twice, no function, no slot, a bad address: errors where they are written."""
    client = Steplane(app_id="shop")
    client.create_function(fn_id="a", trigger=TriggerEvent(event="b"))(in_thread)
    with pytest.raises(ValueError, match="'a' is defined twice"):
        client.create_function(fn_id="a", trigger=TriggerEvent(event="b"))
    with pytest.raises(ValueError, match="1 slot or more"):
        client.worker(slots=0)
    with pytest.raises(ValueError, match="needs a function"):
        Steplane(app_id="empty").worker()


def test_whoever_serves_a_function_serves_its_failure_handler(
    client: Steplane, peer: Peer, start: Callable[..., Running]
) -> None:
    """Also a worker of chosen functions: or else nobody would hear of their failures. It is an ordinary function."""
    client.create_function(fn_id="other", trigger=TriggerEvent(event="b"), on_failure=in_thread)(in_thread)
    chosen = client.create_function(
        fn_id="f", trigger=TriggerEvent(event="b"), on_failure=lambda ctx: ctx.event.data["run_id"]
    )(in_thread)
    start(functions=[chosen])
    stream = peer.accept().welcome()
    assert list(stream.hello.function_ids) == ["f", "f-on-failure"]
    assert [definition.function_id for definition in peer.registered] == ["f", "f-on-failure"]
    stream.invoke(function="f-on-failure", data=b'{"run_id":"r0"}')
    assert stream.take_report().run_completed.output.data == b'"r0"'


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
