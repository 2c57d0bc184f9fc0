"""Keeps one stream to the server open, for ever: registers, connects, beats, watches for silence, connects again.

Three threads that never run a user's code, so that code which blocks the event loop stops no heartbeat: this one, one
that reads a stream, and gRPC's own that writes what the outbox has. What comes is decoded here and handed to the inbox
on the user's side, one wake-up a frame.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc

from steplane.codec import decode_duration, decode_entry
from steplane.errors import RegistrationError
from steplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, work_pb2
from steplane.limits import Limits, limits_of
from steplane.replay.journal import Entry
from steplane.transport import Target, violations_of
from steplane.worker import frames
from steplane.worker.outbox import IncomingAck, Lease, Outbox, OutgoingStream

log = logging.getLogger("steplane.worker")

_METHOD: Final = "/steplane.v1.WorkService/StreamWork"
_CALL_SECONDS_MAX: Final = 10.0
_WELCOME_SECONDS_MAX: Final = 15.0
_END_SECONDS_MAX: Final = 2.0
_DRAINED_CHECK_SECONDS: Final = 0.1
_DELAY_FIRST: Final = 0.5
_DELAY_MAX: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the worker is."""

    namespace: str
    app_id: str
    instance_id: str


class Inbox(Protocol):
    """The user's side. Each method is called on its event loop's thread, in the order that things came."""

    def welcomed(self, limits: Limits, lost: Sequence[Lease]) -> None:
        """A stream is open. The lost leases are to be stopped."""
        ...

    def invoked(self, invocations: Sequence[work_pb2.Invocation]) -> None:
        """Work came."""
        ...

    def journal_continued(self, part: work_pb2.JournalPart) -> None:
        """More of a journal came."""
        ...

    def acked(self, acks: Sequence[IncomingAck]) -> None:
        """Reports were answered."""
        ...

    def resolved(self, resolutions: Sequence[tuple[Lease, Entry]]) -> None:
        """Blocked steps may go on."""
        ...

    def taken_away(self, leases: Sequence[Lease], reason: str) -> None:
        """Leases are to be stopped."""
        ...

    def disconnected(self) -> None:
        """The stream is gone; another is being opened."""
        ...

    def settled(self) -> None:
        """While draining: every outcome is acknowledged, and nothing is held."""
        ...

    def drain_acked(self) -> None:
        """No more work comes on this stream."""
        ...

    def refused(self, error: RegistrationError) -> None:
        """The server does not take what this worker serves; the session has ended."""
        ...


class SessionBroken(Exception):
    """A stream ended, and not by an error of gRPC."""


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
        self._stream: _Stream | None = None
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
        stream = self._stream
        if stream is not None:
            stream.nudge()

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
        stream = _Stream(self._outbox, self._inbox, self._post, self._hello)
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


class _Stream:
    """One stream: this thread keeps its time, another one reads it."""

    def __init__(
        self, outbox: Outbox, inbox: Inbox, post: Callable[..., object], hello: Callable[[Iterable[Lease]], bytes]
    ) -> None:
        self._outbox = outbox
        self._inbox = inbox
        self._post = post
        self._nudged = threading.Event()
        offered = outbox.held
        self.outgoing: OutgoingStream = outbox.open(hello(offered), offered)
        self._heard = time.monotonic()
        self._welcome: work_pb2.Welcome | None = None
        self._is_server_draining = False
        self._is_over = False
        self._error: grpc.RpcError | None = None

    def nudge(self) -> None:
        """Look again what there is to do."""
        self._nudged.set()

    def run(
        self, channel: grpc.Channel, stopping: threading.Event, on_welcome: Callable[[work_pb2.Welcome], None]
    ) -> None:
        """Serve the stream until it ends. Raises what it ended with."""
        open_stream: Any = channel.stream_stream(
            _METHOD, request_serializer=None, response_deserializer=work_pb2.StreamWorkResponse.FromString
        )
        call = open_stream(iter(self.outgoing))
        reader = threading.Thread(target=self._read, args=(call,), name="steplane-reader", daemon=True)
        reader.start()
        try:
            self._wait_welcome(stopping)
            if self._welcome is not None:
                on_welcome(self._welcome)
                self._keep_time(self._welcome, stopping)
            if self._error is not None:
                raise self._error
            if not (stopping.is_set() or self._is_server_draining):
                raise SessionBroken("the server ended the stream")
        finally:
            self._outbox.close(self.outgoing)
            call.cancel()
            reader.join()

    def _wait_welcome(self, stopping: threading.Event) -> None:
        deadline = time.monotonic() + _WELCOME_SECONDS_MAX
        while self._welcome is None and not self._is_over and not stopping.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                raise SessionBroken("the server takes the connection, but does not answer the hello")
            self._sleep(left)

    def _keep_time(self, welcome: work_pb2.Welcome, stopping: threading.Event) -> None:
        """Beat as the server asked for, and notice when it falls silent."""
        interval = decode_duration(welcome.heartbeat_interval) or 5.0
        silence_max = decode_duration(welcome.session_timeout) or 6 * interval
        next_beat = time.monotonic() + interval
        end_by: float | None = None
        while not self._is_over:
            now = time.monotonic()
            if now >= next_beat:
                self._outbox.beat()
                next_beat = now + interval
            if now - self._heard > silence_max:
                raise SessionBroken(f"the server was silent for {silence_max:g} s, so the connection is taken for dead")
            if end_by is None and (stopping.is_set() or (self._is_server_draining and not self._outbox.held)):
                self._outbox.end(self.outgoing)
                end_by = now + _END_SECONDS_MAX
            if end_by is not None and now > end_by:
                return
            waits = [next_beat, self._heard + silence_max + 0.01]
            if self._is_server_draining or end_by is not None:
                waits.append(now + _DRAINED_CHECK_SECONDS)
            self._sleep(min(waits) - now)

    def _sleep(self, seconds: float) -> None:
        self._nudged.wait(max(seconds, 0))
        self._nudged.clear()

    # The reader's thread.

    def _read(self, call: Any) -> None:
        try:
            for frame in call:
                self._heard = time.monotonic()
                self._take(frame)
        except grpc.RpcError as error:
            self._error = error
        except RuntimeError:
            # The event loop is closed: nobody is there to be told.
            log.debug("a frame came after the end", exc_info=True)
        finally:
            self._is_over = True
            self._nudged.set()

    def _take(self, frame: work_pb2.StreamWorkResponse) -> None:
        match frame.WhichOneof("frame"):
            case "acks":
                acks = self._outbox.acked([_ack(ack) for ack in frame.acks.acks])
                if acks:
                    self._post(self._inbox.acked, acks)
                if self._outbox.is_drained:
                    self._post(self._inbox.settled)
            case "invocations":
                invocations = frame.invocations.invocations
                self._outbox.received([(invocation.run_id, invocation.epoch) for invocation in invocations])
                self._post(self._inbox.invoked, invocations)
            case "resolutions":
                resolutions = [((r.run_id, r.epoch), decode_entry(r.entry)) for r in frame.resolutions.resolutions]
                self._post(self._inbox.resolved, resolutions)
            case "journal_part":
                self._post(self._inbox.journal_continued, frame.journal_part)
            case _:
                self._take_rare(frame)

    def _take_rare(self, frame: work_pb2.StreamWorkResponse) -> None:
        match frame.WhichOneof("frame"):
            case "welcome":
                self._take_welcome(frame.welcome)
            case "heartbeat_ack":
                if frame.heartbeat_ack.stop:
                    stop = [(lease.run_id, lease.epoch) for lease in frame.heartbeat_ack.stop]
                    self._post(self._inbox.taken_away, stop, "the server gave it to somebody else")
            case "cancellations":
                for each in frame.cancellations.cancellations:
                    self._post(self._inbox.taken_away, [(each.run_id, each.epoch)], each.reason)
            case "drain":
                log.info("the server is going away: %s", frame.drain.reason)
                self._outbox.stop_credit(self.outgoing)
                self._is_server_draining = True
                self._nudged.set()
            case "drain_ack":
                self._post(self._inbox.drain_acked)
            case other:
                # A newer server may say what this SDK does not know.
                log.debug("a frame of an unknown kind was ignored: %s", other)

    def _take_welcome(self, welcome: work_pb2.Welcome) -> None:
        limits = limits_of(welcome.limits)
        resumed = [(lease.run_id, lease.epoch) for lease in welcome.resumed]
        # The limits are the user's side's first, and then reports go out again.
        lost = self._outbox.welcome(self.outgoing, resumed=resumed, frame_bytes_max=limits.frame_bytes_max)
        self._post(self._inbox.welcomed, limits, lost)
        self._welcome = welcome
        self._nudged.set()


def _ack(ack: work_pb2.Ack) -> IncomingAck:
    entry = decode_entry(ack.entry) if ack.HasField("entry") else None
    return IncomingAck((ack.run_id, ack.epoch), ack.step_key, ack.status, ack.message, entry)
