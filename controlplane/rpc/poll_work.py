"""PollWork: one call is a session's hello, credit and heartbeat in one, and its session outlives it.

The engine sees a stream that is opened with credit and broken off once there is work. What it hands out later than that
goes back unstarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from typing_extensions import override

from controlplane.core.limits import CALL_ITEMS_MAX, POLL_WAIT_MAX, SECOND
from controlplane.core.records import Cancellation, Invocation, Lease
from controlplane.engine.commands import Connect, Disconnect, Release, Welcomed
from controlplane.engine.outbox import Delivery, Outbox
from controlplane.errors import FieldViolation, Stopping, Superseded
from controlplane.gen.steplane.v1 import work_pb2
from controlplane.rpc import validate
from controlplane.rpc.frames import SLACK_BYTES, add_cancellation, fill_welcome, invocation_frames
from controlplane.rpc.reports import leases_of
from controlplane.rpc.translate import duration_of
from controlplane.rpc.work_terms import STOPPING, Terms

log = structlog.get_logger(__name__)

#: The answer comes so long before the call's deadline: work that is handed to nobody would come back late.
_DEADLINE_MARGIN_SECONDS: Final = 0.5


class Poll:
    """One call."""

    def __init__(self, terms: Terms, request: work_pb2.PollWorkRequest, *, seconds_left: float | None) -> None:
        """`seconds_left` is until the call's deadline."""
        self._terms = terms
        self._request = request
        self._seconds_left = seconds_left
        self._outbox = _PollOutbox(terms)

    async def run(self) -> work_pb2.PollWorkResponse:
        """Wait for work; the answer has none if the wait is over, or the server is going away."""
        validate.refuse(_violations(self._request))
        wait = duration_of(self._request.wait)
        if self._seconds_left is not None:
            wait = min(wait, max(0, int((self._seconds_left - _DEADLINE_MARGIN_SECONDS) * SECOND)))
        welcomed = await self._connect(wait)
        try:
            await self._outbox.wait(wait / SECOND)
        except asyncio.CancelledError:
            self._outbox.leave(welcomed.session_id)
            raise
        invocations, cancellations = self._outbox.take(welcomed.session_id)
        response = work_pb2.PollWorkResponse()
        fill_welcome(response.welcome, welcomed, self._terms.settings, self._terms.server)
        for cancellation in cancellations:
            add_cancellation(response.cancellations, cancellation)
        self._add(response, invocations, welcomed.session_id)
        log.debug(
            "work_polled",
            session_id=welcomed.session_id,
            app_id=self._request.hello.app_id,
            instance_id=self._request.hello.instance_id,
            invocations=len(response.invocations),
        )
        return response

    def drain(self) -> None:
        """Answer with what there is."""
        self._outbox.wake()

    def close(self) -> None:
        """Fail the call."""
        self._outbox.break_off()

    async def _connect(self, wait: int) -> Welcomed:
        hello = self._request.hello
        answer = self._terms.mailbox.submit(
            Connect(
                namespace=hello.namespace or validate.DEFAULT_NAMESPACE,
                app_id=hello.app_id,
                function_ids=tuple(hello.function_ids),
                instance_id=hello.instance_id,
                sdk=hello.sdk,
                language=hello.language,
                held=leases_of(hello.held),
                outbox=self._outbox,
                is_poller=True,
                invocation_limit=self._request.max_invocations,
                wait=wait,
            )
        )
        try:
            welcomed: Welcomed = await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(self._leave_unheard)
            raise
        return welcomed

    def _leave_unheard(self, answer: asyncio.Future[Welcomed]) -> None:
        """The caller left before it was welcome: the session is there all the same."""
        if not answer.cancelled() and answer.exception() is None:
            self._outbox.leave(answer.result().session_id)

    def _add(self, response: work_pb2.PollWorkResponse, invocations: Sequence[Invocation], session_id: str) -> None:
        """Write as many invocations as one message may have, and give the others back."""
        if not invocations:
            return
        room = self._terms.settings.limits.frame_bytes_max - response.ByteSize() - SLACK_BYTES
        frame = next(invocation_frames(invocations, room))
        response.invocations.extend(frame.invocations.invocations)
        _give_back(self._terms, session_id, invocations[len(response.invocations) :])


class _PollOutbox(Outbox):
    """Takes what a poll's session is delivered, until the poll is answered."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._invocations: list[Invocation] = []
        self._cancellations: list[Cancellation] = []
        self._closed = ""
        self._is_broken_off = False
        self._left_session = ""
        self._wake = asyncio.Event()

    @override
    def deliver(self, delivery: Delivery) -> None:
        if self._left_session:
            _give_back(self._terms, self._left_session, delivery.invocations)
            return
        self._invocations += delivery.invocations
        self._cancellations += delivery.cancellations
        self._closed = delivery.closed
        if delivery.invocations or delivery.cancellations or delivery.closed:
            self._wake.set()

    async def wait(self, seconds: float) -> None:
        """Return once there is something to answer, or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def wake(self) -> None:
        """Let `wait` return."""
        self._wake.set()

    def break_off(self) -> None:
        """Let `take` fail, as the server stops."""
        self._is_broken_off = True
        self._wake.set()

    def take(self, session_id: str) -> tuple[list[Invocation], list[Cancellation]]:
        """What came. The session has no more to give from here on; raises why it is over, if it is."""
        if self._closed:
            # A newer poll took over, and its leases are not this one's any more.
            raise Superseded("the worker polled again, or opened a stream, before this poll was answered")
        if self._is_broken_off:
            self.leave(session_id)
            raise Stopping(STOPPING)
        self._left_session = session_id
        self._terms.order(Disconnect(session_id=session_id))
        return self._invocations, self._cancellations

    def leave(self, session_id: str) -> None:
        """Nobody hears the answer: what came goes back."""
        self._left_session = session_id
        _give_back(self._terms, session_id, self._invocations)
        self._terms.order(Disconnect(session_id=session_id))


def _give_back(terms: Terms, session_id: str, invocations: Sequence[Invocation]) -> None:
    if invocations:
        leases = tuple([Lease(invocation.run.id, invocation.run.epoch) for invocation in invocations])
        terms.order(Release(session_id=session_id, leases=leases))


def _violations(request: work_pb2.PollWorkRequest) -> validate.Violations:
    found = validate.hello(request.hello)
    if len(request.hello.held) > CALL_ITEMS_MAX:
        problem = f"has {len(request.hello.held)} leases; a call has {CALL_ITEMS_MAX} at most"
        found.append(FieldViolation("hello.held", problem))
    if not 1 <= request.max_invocations <= CALL_ITEMS_MAX:
        found.append(
            FieldViolation("max_invocations", f"is {request.max_invocations}; it must be 1 to {CALL_ITEMS_MAX}")
        )
    if not 0 <= duration_of(request.wait) <= POLL_WAIT_MAX:
        found.append(FieldViolation("wait", f"must be from 0 to {POLL_WAIT_MAX // SECOND} seconds"))
    return found
