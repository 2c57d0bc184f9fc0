"""PollWork: one call is a session's hello, credit and sign of life in one, and its session outlives it.

To the engine it is a stream that is opened with credit, and broken off as soon as there is something to answer with. What
it hands out to a poll that is over goes back, as if it had never been given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from typing_extensions import override

from controlplane.core.limits import CALL_ITEMS_MAX, POLL_WAIT_MAX, SECOND
from controlplane.core.records import Cancellation, Invocation, Lease
from controlplane.engine.commands import Connect, Disconnect, Release, Welcomed
from controlplane.engine.outbox import Delivery, Outbox
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import work_pb2
from controlplane.rpc import validate
from controlplane.rpc.frames import SLACK_BYTES, add_cancellation, fill_welcome, invocation_frames
from controlplane.rpc.reports import leases_of
from controlplane.rpc.stream_outbox import closed_error
from controlplane.rpc.translate import duration_of
from controlplane.rpc.work_terms import Terms

log = structlog.get_logger(__name__)

#: The answer comes so long before the call's deadline: work that is handed to nobody would come back late.
_DEADLINE_MARGIN: Final = SECOND // 2


class Poll(Outbox):
    """One call."""

    def __init__(self, terms: Terms, request: work_pb2.PollWorkRequest, *, seconds_left: float | None) -> None:
        """`seconds_left` is until the call's deadline."""
        self._terms = terms
        self._request = request
        self._seconds_left = seconds_left
        self._invocations: list[Invocation] = []
        self._cancellations: list[Cancellation] = []
        self._closed = ""
        self._over_session_id = ""
        """Set once the poll is over: what comes then goes back."""
        self._wake = asyncio.Event()

    async def run(self) -> work_pb2.PollWorkResponse:
        """Wait for work; the answer has none if the wait is over, or the server is going away."""
        validate.refuse(_violations(self._request))
        wait = self._wait()
        welcomed = await self._connect(wait)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait / SECOND):
                    await self._wake.wait()
        except asyncio.CancelledError:
            self._part(welcomed.session_id, self._invocations)
            raise
        if self._closed:
            raise closed_error(self._closed)
        response = self._answer(welcomed)
        log.debug(
            "work_polled",
            session_id=welcomed.session_id,
            app_id=self._request.hello.app_id,
            instance_id=self._request.hello.instance_id,
            invocations=len(response.invocations),
        )
        return response

    @override
    def deliver(self, delivery: Delivery) -> None:
        if self._over_session_id:
            if delivery.invocations:
                self._part(self._over_session_id, delivery.invocations)
            return
        self._invocations += delivery.invocations
        self._cancellations += delivery.cancellations
        self._closed = delivery.closed
        if delivery.invocations or delivery.cancellations or delivery.closed:
            self._wake.set()

    def drain(self) -> None:
        """The server is going away: answer with what there is."""
        self._wake.set()

    def close(self) -> None:
        """The same: a worker that has its leases is better off than one that has to wait until they expire."""
        self._wake.set()

    def _wait(self) -> int:
        wait = duration_of(self._request.wait)
        if self._seconds_left is None:
            return wait
        return max(0, min(wait, int(self._seconds_left * SECOND) - _DEADLINE_MARGIN))

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
                outbox=self,
                poll_wait=wait,
                invocation_limit=self._request.max_invocations,
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
            self._part(answer.result().session_id, self._invocations)

    def _answer(self, welcomed: Welcomed) -> work_pb2.PollWorkResponse:
        """End the poll with what came; invocations that one message has no room for go back."""
        response = work_pb2.PollWorkResponse()
        fill_welcome(response.welcome, welcomed, self._terms.settings, self._terms.server)
        for cancellation in self._cancellations:
            add_cancellation(response.cancellations, cancellation)
        if self._invocations:
            room = self._terms.settings.limits.frame_bytes_max - response.ByteSize() - SLACK_BYTES
            frame = next(invocation_frames(self._invocations, room))
            response.invocations.extend(frame.invocations.invocations)
        self._part(welcomed.session_id, self._invocations[len(response.invocations) :])
        return response

    def _part(self, session_id: str, unheard: Sequence[Invocation]) -> None:
        """The poll is over: what nobody will hear of goes back, and the session is left to its leases."""
        self._over_session_id = session_id
        if unheard:
            leases = tuple([Lease(invocation.run.id, invocation.run.epoch) for invocation in unheard])
            self._terms.order(Release(session_id=session_id, leases=leases))
        self._terms.order(Disconnect(session_id=session_id))


def _violations(request: work_pb2.PollWorkRequest) -> validate.Violations:
    found = validate.hello(request.hello)
    validate.leases(request.hello.held, "hello.held", found)
    if not 1 <= request.max_invocations <= CALL_ITEMS_MAX:
        problem = f"is {request.max_invocations}; it must be 1 to {CALL_ITEMS_MAX}"
        found.append(FieldViolation("max_invocations", problem))
    if not 0 <= duration_of(request.wait) <= POLL_WAIT_MAX:
        found.append(FieldViolation("wait", f"must be from 0 to {POLL_WAIT_MAX // SECOND} seconds"))
    return found
