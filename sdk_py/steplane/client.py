"""The app: its functions, its events, its worker."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from steplane.blocking import finish
from steplane.definition import TriggerCron, TriggerEvent, define
from steplane.event import Event
from steplane.flow import Batch, Cancel, Concurrency, Debounce, Priority, RateLimit, Singleton, Throttle, Timeouts
from steplane.function import Function
from steplane.gen.steplane.v1.function_pb2 import FunctionDefinition
from steplane.retry import Retry
from steplane.sending import BlockingCalls, Calls, LoopCalls, Sender
from steplane.transport import DEFAULT_PORT, Target, Tls
from steplane.worker.worker import DRAIN_TIMEOUT, Worker

H = TypeVar("H", bound=Callable[..., Any])

_ADDRESS_VARIABLE: Final = "STEPLANE_ADDRESS"
_SEND_TIMEOUT: Final = timedelta(seconds=30)
_EVENT_FAILED: Final = "steplane/function.failed"


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
        name: str = "",
        retries: int | None = None,
        retry: Retry | None = None,
        on_failure: Callable[..., Any] | None = None,
        batch_events: Batch | None = None,
        cancel: Cancel | Sequence[Cancel] | None = None,
        concurrency: int | Concurrency | Sequence[Concurrency] | None = None,
        debounce: Debounce | None = None,
        priority: Priority | None = None,
        rate_limit: RateLimit | None = None,
        singleton: Singleton | None = None,
        throttle: Throttle | None = None,
        timeouts: Timeouts | None = None,
        idempotency: str = "",
    ) -> Callable[[H], Function[H]]:
        """Define a function: `async def` with a `Context`, or plain `def` with a `ContextSync`.

        A failed step, and a function that failed outside of steps, are tried again as `retry` says; without it up to
        `retries` times (4 if not given), after 15 s, 30 s, 1, 2, 5, … minutes, and up to 30 s more by chance.

        Up to 5 `cancel`, and 2 `concurrency` (an int is one without a key); `idempotency` is a CEL expression over
        `event`: one run for each of its values in 24 hours. The other options are what their classes say.

        `on_failure` is a function as well, async or plain, with retries of its own: it runs once a run has failed for
        good. Its event's data tell of that run: `function_id` (with the app's), `run_id`, `event` (with id, name, data and
        ts; `events` are all of a batch) and `error` (with name, message, stack, step_key and reason).

        Raises `ValueError` for what can't be said; all else is checked by the server when a worker connects.
        """
        definition = define(
            app_id=self.app_id,
            fn_id=fn_id,
            name=name,
            trigger=trigger,
            retries=retries,
            retry=retry,
            batch_events=batch_events,
            cancel=cancel,
            concurrency=concurrency,
            debounce=debounce,
            priority=priority,
            rate_limit=rate_limit,
            singleton=singleton,
            throttle=throttle,
            timeouts=timeouts,
            idempotency=idempotency,
        )
        return self._decorator(fn_id, definition, on_failure)

    def worker(
        self,
        *,
        slots: int = 100,
        functions: Sequence[Function[Any]] | None = None,
        drain_timeout: timedelta = DRAIN_TIMEOUT,
    ) -> Worker:
        """A worker for these functions and their failure handlers, or for all: `run` it.

        It executes up to `slots` invocations at the same time.
        """
        chosen = list(self._functions.values() if functions is None else functions)
        handlers = [each.failure_handler for each in chosen if each.failure_handler is not None]
        return Worker(
            target=self._target,
            namespace=self._namespace,
            app_id=self.app_id,
            functions=list(dict.fromkeys(chosen + handlers)),
            slots=slots,
            drain_timeout=drain_timeout,
            logger=self._logger.getChild,
        )

    async def send(self, events: Event | Sequence[Event], *, timeout: timedelta = _SEND_TIMEOUT) -> list[str]:  # noqa: ASYNC109 of all tries
        """Send an event, or a batch, and return their ids once they are on disk. All or nothing.

        Raises `SendError` if the server refuses them, or can't be reached within `timeout`. In a function, use
        `ctx.step.send_event`, which sends exactly once and keeps the trace.
        """
        return await self._send(events, timeout, LoopCalls())

    def send_sync(self, events: Event | Sequence[Event], *, timeout: timedelta = _SEND_TIMEOUT) -> list[str]:
        """The same, blocking."""
        return finish(self._send(events, timeout, BlockingCalls()))

    async def send_signal(self, signal: str, data: Any = None, *, timeout: timedelta = _SEND_TIMEOUT) -> str:  # noqa: ASYNC109 the same
        """Send a signal, with any JSON value, to the run that waits for it, and return that run's id.

        Raises `SendError`: with the code `NOT_FOUND` if no run waits for it. It is never given twice: a call of which
        nobody knows what became of it is not made again. In a function, use `ctx.step.send_signal`.
        """
        return await self._sender.send_signal(signal, data, seconds_max=timeout.total_seconds(), calls=LoopCalls())

    def send_signal_sync(self, signal: str, data: Any = None, *, timeout: timedelta = _SEND_TIMEOUT) -> str:
        """The same, blocking."""
        seconds_max = timeout.total_seconds()
        return finish(self._sender.send_signal(signal, data, seconds_max=seconds_max, calls=BlockingCalls()))

    def close(self) -> None:
        """Close the connection that `send` opened."""
        self._sender.close()

    async def _send(self, events: Event | Sequence[Event], timeout: timedelta, calls: Calls) -> list[str]:  # noqa: ASYNC109 the same
        batch = [events] if isinstance(events, Event) else list(events)
        return await self._sender.send(batch, seconds_max=timeout.total_seconds(), calls=calls)

    def _decorator(
        self, fn_id: str, definition: FunctionDefinition, on_failure: Callable[..., Any] | None
    ) -> Callable[[H], Function[H]]:
        handler_id = f"{fn_id}-on-failure"
        for id_ in (fn_id,) if on_failure is None else (fn_id, handler_id):
            if id_ in self._functions:
                raise ValueError(f"function {id_!r} is defined twice")

        def decorate(handler: H) -> Function[H]:
            function = self._functions[fn_id] = Function(handler, definition)
            if on_failure is not None:
                function.failure_handler = self._functions[handler_id] = self._failure_handler(
                    on_failure, handler_id, of=function
                )
            return function

        return decorate

    def _failure_handler(self, handler: Callable[..., Any], fn_id: str, *, of: Function[Any]) -> Function[Any]:
        failing = of.definition
        trigger = TriggerEvent(
            event=_EVENT_FAILED, expression=f'event.data.function_id == "{failing.app_id}/{failing.function_id}"'
        )
        name = f"{failing.name or failing.function_id} (failure handler)"
        return Function(handler, define(app_id=self.app_id, fn_id=fn_id, name=name, trigger=trigger))
