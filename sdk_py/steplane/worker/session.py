"""Keeps one stream to the server open, for ever: registers, connects, and connects again.

Its threads never run a user's code, so that code which blocks the event loop stops no heartbeat.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from steplane.errors import RegistrationError
from steplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, work_pb2
from steplane.transport import Target, violations_of
from steplane.worker import frames
from steplane.worker.inbox import Inbox
from steplane.worker.outbox import Lease, Outbox
from steplane.worker.stream import SessionBroken, Stream

log = logging.getLogger("steplane.worker")

_CALL_SECONDS_MAX: Final = 10.0
_DELAY_FIRST: Final = 0.5
_DELAY_MAX: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the worker is."""

    namespace: str
    app_id: str
    instance_id: str


class Session:
    """The connection of one worker."""

    def __init__(
        self,
        *,
        target: Target,
        identity: Identity,
        definitions: Sequence[function_pb2.FunctionDefinition],
        outbox: Outbox,
        inbox: Inbox,
        post: Callable[..., object],
    ) -> None:
        """`post` calls a function with arguments on the event loop's thread, soon."""
        self._target = target
        self._identity = identity
        self._definitions = definitions
        self._outbox = outbox
        self._inbox = inbox
        self._post = post
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._channel: grpc.Channel | None = None
        self._failures = 0
        self._warned: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="steplane-session", daemon=True)

    def start(self) -> None:
        """Connect, and stay connected."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end after `stop`."""
        self._thread.join()

    def stop(self) -> None:
        """Send what is there, end the stream, and let the thread end."""
        self._stopping.set()
        stream, channel = self._stream, self._channel
        if stream is not None:
            stream.nudge()
        elif channel is not None:
            channel.close()  # which ends a call that a silent server does not answer

    def drain(self) -> None:
        """Ask for no more invocations."""
        stream = self._stream
        self._outbox.drain(stream.outgoing if stream is not None else None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            trouble = self._run_once()
            if self._stopping.is_set():
                return
            # Full jitter: a thousand workers that lost one server do not come back at one moment.
            delay = random.uniform(0, min(_DELAY_FIRST * 2**self._failures, _DELAY_MAX))  # noqa: S311 no secret
            self._failures += 1
            if trouble:
                log.error(
                    "not connected to Steplane: %s. Trying again in %.1f s (try %d).", trouble, delay, self._failures
                )
            self._stopping.wait(delay)

    def _run_once(self) -> str:
        """Be connected for as long as that goes well; the result says why it ended."""
        try:
            with self._target.open() as channel:
                self._channel = channel
                self._register(channel)
                self._serve(channel)
        except RegistrationError as error:
            self._stopping.set()
            self._post(self._inbox.refused, error)
        except grpc.RpcError as error:
            return str(self._target.explain(error)).rstrip(".")
        except SessionBroken as error:
            return str(error)
        except Exception:
            # The worker must not become deaf, whatever happens.
            log.exception("an unexpected error ended the connection")
            return "an unexpected error"
        finally:
            self._channel = None
        return ""

    def _register(self, channel: grpc.Channel) -> None:
        stub = function_pb2_grpc.FunctionServiceStub(channel)
        for definition in self._definitions:
            request = function_pb2.RegisterFunctionRequest(namespace=self._identity.namespace, definition=definition)
            try:
                response = stub.RegisterFunction(request, timeout=_CALL_SECONDS_MAX)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
                raise RegistrationError(
                    f"the server refuses function {definition.function_id!r}: {error.details()}",
                    code=error.code().name,
                    violations=violations_of(error),
                ) from error
            for warning in response.warnings:
                if warning not in self._warned:
                    self._warned.add(warning)
                    log.warning("function %r: %s", definition.function_id, warning)

    def _serve(self, channel: grpc.Channel) -> None:
        stream = Stream(self._outbox, self._inbox, self._post, self._hello)
        self._stream = stream
        try:
            stream.run(channel, self._stopping, self._welcomed)
        finally:
            self._stream = None
            if not self._stopping.is_set():
                self._post(self._inbox.disconnected)

    def _hello(self, held: Iterable[Lease]) -> bytes:
        return frames.hello(
            namespace=self._identity.namespace,
            app_id=self._identity.app_id,
            instance_id=self._identity.instance_id,
            function_ids=[definition.function_id for definition in self._definitions],
            held=held,
        )

    def _welcomed(self, welcome: work_pb2.Welcome) -> None:
        self._failures = 0
        log.info(
            "connected to Steplane at %s (%s), session %s", self._target.address, welcome.server, welcome.session_id
        )
