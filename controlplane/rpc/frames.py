"""What a turn has for a session → frames, as few as possible, none larger than a message may be.

Items are weighed by their records, by a little too much rather than too little: that costs a frame at times, where asking
each message for its size would cost time for every item.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from controlplane.core.limits import ID_BYTES_MAX
from controlplane.core.records import Ack, Cancellation, EventRow, Failure, Invocation, JournalRow, Lease, Resolution
from controlplane.engine.commands import Welcomed
from controlplane.engine.outbox import Delivery
from controlplane.engine.settings import Settings
from controlplane.gen.steplane.v1 import work_pb2
from controlplane.rpc.translate import fill_entry, fill_event, set_duration

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

Frame: TypeAlias = work_pb2.StreamWorkResponse

#: Beyond its texts and bytes: tags, lengths, numbers, moments, trace contexts.
_ITEM_BYTES: Final = 256
_ACK_BYTES: Final = _ITEM_BYTES + ID_BYTES_MAX
_EVENT_ID_BYTES: Final = 264
#: A character has up to four bytes.
_CHARACTER_BYTES: Final = 4
#: Left free in each frame.
SLACK_BYTES: Final = 1024


def frames_of(deliveries: Iterable[Delivery], bytes_max: int) -> Iterator[Frame]:
    """The frames for these deliveries, in an order that keeps what each of them means."""
    room = bytes_max - SLACK_BYTES
    for delivery in _merge(deliveries):
        for acks, resolutions in _rounds(delivery.updates):
            yield from ack_frames(acks, room)
            yield from _resolutions(resolutions, room)
        yield from _cancellations(delivery.cancellations, room)
        if delivery.heartbeat_stop is not None:
            frame = Frame()
            frame.heartbeat_ack.SetInParent()
            add_leases(frame.heartbeat_ack.stop, delivery.heartbeat_stop)
            yield frame
        yield from invocation_frames(delivery.invocations, room)
        if delivery.drained is not None:
            yield Frame(drain_ack=work_pb2.DrainAck(invocation_count=delivery.drained))


def weight_of(delivery: Delivery) -> int:
    """About how many bytes a delivery holds in memory, told without looking at each item's texts."""
    weight = _ITEM_BYTES * (len(delivery.updates) + len(delivery.cancellations))
    for update in delivery.updates:
        if update.entry is not None and update.entry.output is not None:
            weight += len(update.entry.output)
    for invocation in delivery.invocations:
        weight += 4 * _ITEM_BYTES + invocation.run.journal_bytes
        for event in invocation.events:
            weight += len(event.data)
    return weight


def welcome_frame(welcomed: Welcomed, settings: Settings, server: str) -> Frame:
    """The server's terms."""
    frame = Frame()
    fill_welcome(frame.welcome, welcomed, settings, server)
    return frame


def fill_welcome(welcome: work_pb2.Welcome, welcomed: Welcomed, settings: Settings, server: str) -> None:
    """Write the server's terms into a message."""
    welcome.session_id = welcomed.session_id
    set_duration(welcome.heartbeat_interval, settings.heartbeat_interval)
    set_duration(welcome.session_timeout, settings.session_timeout)
    add_leases(welcome.resumed, welcomed.resumed)
    for field in work_pb2.Limits.DESCRIPTOR.fields:
        setattr(welcome.limits, field.name, getattr(settings.limits, field.name))
    welcome.server = server


def drain_frame(reason: str) -> Frame:
    """The server is going away."""
    return Frame(drain=work_pb2.ServerDrain(reason=reason))


def _merge(deliveries: Iterable[Delivery]) -> Iterator[Delivery]:
    """Join deliveries where that changes nothing.

    What concerns an invocation must not overtake it, and acks and answers to heartbeats concern only what the worker has.
    """
    joined: Delivery | None = None
    for delivery in deliveries:
        if joined is None:
            joined = delivery
        elif joined.drained is not None or (joined.invocations and _concerns_new(delivery)):
            yield joined
            joined = delivery
        else:
            joined.updates += delivery.updates
            joined.cancellations += delivery.cancellations
            joined.invocations += delivery.invocations
            joined.drained = delivery.drained
            if delivery.heartbeat_stop is not None:
                joined.heartbeat_stop = (joined.heartbeat_stop or []) + delivery.heartbeat_stop
    if joined is not None:
        yield joined


def _concerns_new(delivery: Delivery) -> bool:
    """Whether it may be about invocations that the worker does not have yet."""
    return bool(delivery.cancellations) or any(type(update) is Resolution for update in delivery.updates)


def _rounds(updates: Sequence[Ack | Resolution]) -> list[tuple[list[Ack], list[Resolution]]]:
    """Acks and resolutions, in as few rounds as keep the order within each run: a replay shows its steps end in it, too."""
    rounds: list[tuple[list[Ack], list[Resolution]]] = [([], [])]
    places: dict[str, int] = {}
    """Where the last one of a run went, if not among the first acks: an even number for acks, an odd one for resolutions."""
    for update in updates:
        place = places.get(update.run_id, 0)
        place += (place % 2 == 0) is (type(update) is Resolution)
        if place:
            places[update.run_id] = place
        if place // 2 == len(rounds):
            rounds.append(([], []))
        acks, resolutions = rounds[place // 2]
        if isinstance(update, Ack):
            acks.append(update)
        else:
            resolutions.append(update)
    return rounds


def add_cancellation(
    messages: RepeatedCompositeFieldContainer[work_pb2.Cancellation], cancellation: Cancellation
) -> None:
    """Write one cancellation."""
    run_id, epoch, reason = cancellation
    messages.add(run_id=run_id, epoch=epoch, reason=reason)


def ack_frames(acks: Sequence[Ack], room: int) -> Iterator[Frame]:
    """Answers to reports, in their order."""
    frame, weight = Frame(), 0
    for run_id, epoch, step_key, status, entry, reason, text in acks:
        item = _ACK_BYTES
        if entry is not None:
            item += _entry_weight(entry)
        if text:
            # Only a rejected report may have names longer than names may be.
            item += _CHARACTER_BYTES * (len(run_id) + len(step_key) + len(text))
        if weight and weight + item > room:
            yield frame
            frame, weight = Frame(), 0
        weight += item
        message = frame.acks.acks.add()
        message.run_id = run_id
        message.epoch = epoch
        message.step_key = step_key
        message.status = status  # type: ignore[assignment]  # the numbers are those of the wire
        if entry is not None:
            fill_entry(message.entry, entry)
        if text:
            message.reason = reason
            message.message = text
    if weight:
        yield frame


def _resolutions(resolutions: Sequence[Resolution], room: int) -> Iterator[Frame]:
    frame, weight = Frame(), 0
    for run_id, epoch, entry in resolutions:
        item = _ITEM_BYTES + _entry_weight(entry)
        if weight and weight + item > room:
            yield frame
            frame, weight = Frame(), 0
        weight += item
        message = frame.resolutions.resolutions.add()
        message.run_id = run_id
        message.epoch = epoch
        fill_entry(message.entry, entry)
    if weight:
        yield frame


def _cancellations(cancellations: Sequence[Cancellation], room: int) -> Iterator[Frame]:
    frame, weight = Frame(), 0
    for cancellation in cancellations:
        item = _ITEM_BYTES + _CHARACTER_BYTES * len(cancellation.reason)
        if weight and weight + item > room:
            yield frame
            frame, weight = Frame(), 0
        weight += item
        add_cancellation(frame.cancellations.cancellations, cancellation)
    if weight:
        yield frame


def invocation_frames(invocations: Sequence[Invocation], room: int) -> Iterator[Frame]:
    """Invocations, in their order. One that is too large for a frame has one to itself, and parts of its journal follow."""
    frame, weight = Frame(), 0
    for invocation in invocations:
        own = _ITEM_BYTES * 2
        for event in invocation.events:
            own += _event_weight(event)
        item = own
        for entry in invocation.journal:
            item += _entry_weight(entry)
        if weight and weight + item > room:
            yield frame
            frame, weight = Frame(), 0
        weight += item
        message = frame.invocations.invocations.add()
        _fill_invocation(message, invocation)
        if item <= room:
            for entry in invocation.journal:
                fill_entry(message.journal.add(), entry)
            continue
        # It has the frame to itself, and the rest of its journal follows at once.
        parts = _journal_parts(invocation, room - own, room)
        first = next(parts)
        for entry in first:
            fill_entry(message.journal.add(), entry)
        message.journal_remaining = len(invocation.journal) - len(first)
        yield frame
        for part in parts:
            yield _part_frame(invocation, part)
        frame, weight = Frame(), 0
    if weight:
        yield frame


def _fill_invocation(message: work_pb2.Invocation, invocation: Invocation) -> None:
    run = invocation.run
    message.run_id = run.id
    message.epoch = run.epoch
    message.function_id = invocation.function_id
    for event in invocation.events:
        fill_event(message.events.add(), event)
    if run.attempt:
        message.attempt = run.attempt
    message.traceparent = run.traceparent
    if run.tracestate:
        message.tracestate = run.tracestate
    message.attempts_max = invocation.attempts_max


def _journal_parts(invocation: Invocation, first_room: int, room: int) -> Iterator[list[JournalRow]]:
    """The journal in parts that fit; the first one may be empty, the others have one entry at least."""
    part: list[JournalRow] = []
    left = first_room
    is_first = True
    for entry in invocation.journal:
        item = _entry_weight(entry)
        if item > left and (part or is_first):
            yield part
            part, left, is_first = [], room - _ITEM_BYTES, False
        part.append(entry)
        left -= item
    yield part


def _part_frame(invocation: Invocation, entries: Sequence[JournalRow]) -> Frame:
    frame = Frame()
    part = frame.journal_part
    part.run_id = invocation.run.id
    part.epoch = invocation.run.epoch
    for entry in entries:
        fill_entry(part.entries.add(), entry)
    return frame


def add_leases(messages: RepeatedCompositeFieldContainer[work_pb2.Lease], leases: Iterable[Lease]) -> None:
    """Write leases."""
    for run_id, epoch in leases:
        messages.add(run_id=run_id, epoch=epoch)


def _event_weight(event: EventRow) -> int:
    return _ITEM_BYTES * 4 + len(event.data) + _CHARACTER_BYTES * (len(event.id) + len(event.name))


def _entry_weight(entry: JournalRow) -> int:
    weight = _ITEM_BYTES + _CHARACTER_BYTES * len(entry.step_key)
    if entry.output is not None:
        weight += len(entry.output)
    if entry.failure is not None:
        weight += _failure_weight(entry.failure)
    if entry.event_ids:
        weight += _EVENT_ID_BYTES * len(entry.event_ids)
    return weight


def _failure_weight(failure: Failure) -> int:
    return _CHARACTER_BYTES * (len(failure.name) + len(failure.message) + len(failure.stack) + len(failure.step_key))
