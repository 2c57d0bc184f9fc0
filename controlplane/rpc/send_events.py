"""EventService: takes batches of events in, and signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc
from typing_extensions import override

from controlplane.core.limits import Limits
from controlplane.engine.commands import SendEvents, SendSignal, SentEvents
from controlplane.engine.mailbox import Mailbox
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import event_pb2, event_pb2_grpc
from controlplane.rpc import validate
from controlplane.rpc.trace_metadata import Trace, trace_of
from controlplane.rpc.translate import new_events
from controlplane.rpc.wait_reports import signal_problems

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class EventService(event_pb2_grpc.EventServiceServicer):
    """Takes events in."""

    def __init__(self, *, mailbox: Mailbox, limits: Limits, clock: Callable[[], int]) -> None:
        self._mailbox = mailbox
        self._limits = limits
        self._clock = clock

    @override
    async def SendEvents(self, request: event_pb2.SendEventsRequest, context: _Context) -> event_pb2.SendEventsResponse:
        return await self.take_in(request, trace_of(context.invocation_metadata()))

    async def take_in(self, request: event_pb2.SendEventsRequest, trace: Trace) -> event_pb2.SendEventsResponse:
        """Check a batch, and return once it is on disk, by whichever door it came. Raises `SteplaneError`."""
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        size = request.ByteSize()
        found += validate.batch(len(request.events), size, self._limits)
        validate.refuse(found)
        events = new_events(request.events, *trace)
        validate.refuse(validate.events(events, self._limits, self._clock()))
        command = SendEvents(namespace=namespace, events=events, size=size)
        # A caller that gives up meanwhile takes nothing back: its events are committed all the same.
        sent: SentEvents = await self._mailbox.submit(command)
        return event_pb2.SendEventsResponse(ids=sent.ids, duplicates=sent.duplicates)

    @override
    async def SendSignal(self, request: event_pb2.SendSignalRequest, context: _Context) -> event_pb2.SendSignalResponse:
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        payload = request.data
        found += [FieldViolation(*problem) for problem in signal_problems(request.signal, payload, self._limits)]
        validate.refuse(found)
        command = SendSignal(
            namespace=namespace, signal=request.signal, data=payload.data or b"null", encoding=payload.encoding
        )
        run_id: str = await self._mailbox.submit(command)
        return event_pb2.SendSignalResponse(run_id=run_id)
