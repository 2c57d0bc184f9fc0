"""One stream to the server: one thread keeps its time, another one reads it, and gRPC's own writes what the outbox has.

What comes is decoded here and handed to the inbox on the user's side, one wake-up a frame.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc

from steplane.codec import decode_duration, decode_entry
from steplane.gen.steplane.v1 import work_pb2
from steplane.limits import limits_of
from steplane.worker.inbox import Inbox
from steplane.worker.outbox import IncomingAck, Lease, Outbox, OutgoingStream

log = logging.getLogger("steplane.worker")

_METHOD: Final = "/steplane.v1.WorkService/StreamWork"
_WELCOME_SECONDS_MAX: Final = 15.0
_END_SECONDS_MAX: Final = 2.0
_DRAINED_CHECK_SECONDS: Final = 0.1


class SessionBroken(Exception):
    """A stream ended, and not by an error of gRPC."""


class Stream:
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
        self._heard = self._beaten = time.monotonic()
        self._silence_max = math.inf
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
                if self._welcome is not None and self._error.code() is grpc.StatusCode.UNAVAILABLE:
                    raise SessionBroken(f"the connection was lost ({self._error.details()})")
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
        interval, silence_max = _heartbeat_interval(welcome), self._silence_max
        next_beat = time.monotonic() + interval
        end_by: float | None = None
        while not self._is_over:
            now = time.monotonic()
            self._check_sure(now)
            if now >= next_beat:
                self._beaten = now
                self._outbox.beat(sure_until=now + silence_max)
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
        self._check_sure(time.monotonic())

    def _check_sure(self, now: float) -> None:
        """A process that was frozen must not act on what it was sent: others may have done all of it by now."""
        if now - self._beaten > self._silence_max:
            raise SessionBroken(
                f"this process stood still for {now - self._beaten:.1f} s, so its runs may have been given to others"
            )

    def _sleep(self, seconds: float) -> None:
        self._nudged.wait(max(seconds, 0))
        self._nudged.clear()

    # The reader's thread.

    def _read(self, call: Any) -> None:
        try:
            for frame in call:
                self._heard = time.monotonic()
                self._check_sure(self._heard)
                self._take(frame)
        except SessionBroken:
            log.debug("a frame was not taken: it may be of long ago")
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
        self._silence_max = decode_duration(welcome.session_timeout) or 6 * _heartbeat_interval(welcome)
        # The limits are the user's side's first, and then reports go out again.
        lost = self._outbox.welcome(
            self.outgoing,
            resumed=resumed,
            frame_bytes_max=limits.frame_bytes_max,
            sure_until=self._beaten + self._silence_max,
        )
        self._post(self._inbox.welcomed, limits, lost)
        self._welcome = welcome
        self._nudged.set()


def _heartbeat_interval(welcome: work_pb2.Welcome) -> float:
    return decode_duration(welcome.heartbeat_interval) or 5.0


def _ack(ack: work_pb2.Ack) -> IncomingAck:
    entry = decode_entry(ack.entry) if ack.HasField("entry") else None
    return IncomingAck((ack.run_id, ack.epoch), ack.step_key, ack.status, ack.message, entry)
