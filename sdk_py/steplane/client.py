"""The app: its functions, its events, its worker."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from steplane.blocking import finish
from steplane.event import Event
from steplane.function import Function, TriggerCron, TriggerEvent, define
from steplane.sending import BlockingCalls, LoopCalls, Sender
from steplane.transport import DEFAULT_PORT, Target, Tls
from steplane.worker.worker import DRAIN_TIMEOUT, Worker

H = TypeVar("H", bound=Callable[..., Any])

_ADDRESS_VARIABLE: Final = "STEPLANE_ADDRESS"
_SEND_TIMEOUT: Final = timedelta(seconds=30)


class Steplane:
    """An app, and its way to the server."""

    def __init__(
        self,
        *,
        app_id: str,
        address: str | None = None,
        namespace: str = "default",
        tls: bool | Tls = False,
        logger: logging.Logger | None = None,
    ) -> None:
        """`address` is host:port; by default that of the environment's STEPLANE_ADDRESS, else 127.0.0.1:7100.

        `tls` is True for TLS with the system's authorities, or a `Tls` that says more. `logger` is the parent of the
        loggers that functions get.
        """
        self.app_id = app_id
        self._namespace = namespace
        settled = address or os.environ.get(_ADDRESS_VARIABLE) or f"127.0.0.1:{DEFAULT_PORT}"
        self._target = Target(settled, (Tls() if tls else None) if isinstance(tls, bool) else tls)
        self._logger = logger if logger is not None else logging.getLogger("steplane.functions")
        self._functions: dict[str, Function[Any]] = {}
        self._sender = Sender(self._target, namespace)

    def create_function(
        self,
        *,
        fn_id: str,
        trigger: TriggerEvent | TriggerCron | Sequence[TriggerEvent | TriggerCron],
        retries: int | None = None,
        retry_delays: Sequence[timedelta | int] | None = None,
        retry_jitter: timedelta | int | None = None,
        name: str = "",
    ) -> Callable[[H], Function[H]]:
        """Define a function: `async def` with a `Context`, or plain `def` with a `ContextSync`.

        A failed step, and a function that failed outside of steps, are tried again up to `retries` times (4 if not
        given), with the waits of `retry_delays` (the last one stands for all beyond it; 15 s, 30 s, 1, 2, 5, … minutes if
        not given) and up to `retry_jitter` more, by chance (30 s if neither is given).
        """
        if fn_id in self._functions:
            raise ValueError(f"function {fn_id!r} is defined twice")
        definition = define(
            app_id=self.app_id,
            fn_id=fn_id,
            trigger=trigger,
            retries=retries,
            retry_delays=retry_delays,
            retry_jitter=retry_jitter,
            name=name,
        )

        def decorate(handler: H) -> Function[H]:
            function = self._functions[fn_id] = Function(handler, definition)
            return function

        return decorate

    def worker(
        self,
        *,
        slots: int = 100,
        functions: Sequence[Function[Any]] | None = None,
        drain_timeout: timedelta = DRAIN_TIMEOUT,
    ) -> Worker:
        """A worker for these functions, or for all: `run` it. It executes up to `slots` invocations at the same time."""
        return Worker(
            target=self._target,
            namespace=self._namespace,
            app_id=self.app_id,
            functions=list(self._functions.values()) if functions is None else functions,
            slots=slots,
            drain_timeout=drain_timeout,
            logger=self._logger.getChild,
        )

    async def send(self, events: Event | Sequence[Event], *, timeout: timedelta = _SEND_TIMEOUT) -> list[str]:  # noqa: ASYNC109 of all tries
        """Send an event, or a batch, and return their ids once they are on disk. All or nothing.

        Raises `SendError` if the server refuses them, or can't be reached within `timeout`. In a function, use
        `ctx.step.send_event`, which sends exactly once and keeps the trace.
        """
        return await self._send(events, timeout, LoopCalls)

    def send_sync(self, events: Event | Sequence[Event], *, timeout: timedelta = _SEND_TIMEOUT) -> list[str]:
        """The same, blocking."""
        return finish(self._send(events, timeout, BlockingCalls))

    async def _send(self, events: Event | Sequence[Event], timeout: timedelta, calls: Any) -> list[str]:  # noqa: ASYNC109 the same
        batch = [events] if isinstance(events, Event) else list(events)
        return await self._sender.send(batch, seconds_max=timeout.total_seconds(), make_calls=calls)

    def close(self) -> None:
        """Close the connection that `send` opened."""
        self._sender.close()
