"""Makes runs of events and the functions that they start, as far as flow control lets it.

rate limit → batch → debounce → singleton → idempotency → run. Guarantee 2: each event starts each function once, or is
part of one start, or is recorded as skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.core.decision import Decision
from controlplane.core.definition import NO_OPTIONS, FunctionRow, FunctionState
from controlplane.core.flow import (
    Buffer,
    Seen,
    flush_timer,
    hashed,
    lane_of,
    priority_of,
    read_buffer,
    slots_of,
    take_rate,
    write_buffer,
)
from controlplane.core.ids import child_traceparent, run_span_id
from controlplane.core.lifecycle import cancel
from controlplane.core.limits import BATCH_DATA_BYTES_MAX, IDEMPOTENCY_PERIOD
from controlplane.core.reasons import Reason
from controlplane.core.records import EventRow, Failure, FlowKind, FlowRow, RunExtra, RunRow, TimerKind, TimerRow
from controlplane.core.states import ENDED, RunState
from controlplane.core.waits import rows_of_cancels

FlowKey = tuple[int, FlowKind, int]

#: So much of a key is told; it may be anything that an event holds.
_KEY_SHOWN = 100


def start_plain(d: Decision, function: FunctionRow, event: EventRow) -> RunRow:
    """Queue a run of a function without options. This is the hot path."""
    now, run_id = d.now, d.ids.make()
    run = RunRow(
        run_id,
        event.namespace,
        function.key,
        event.key,
        now,
        child_traceparent(event.traceparent, run_span_id(run_id)),
        event.tracestate,
        RunState.QUEUED,
        queued_at=now,
        depth=event.depth,
    )
    d.add_run(run)
    return run


def keys_of(function: FunctionRow, event: EventRow) -> list[FlowKey]:
    """What its controls may remember that the event has to do with."""
    options, seen = function.definition.options, Seen(event)
    return [
        (function.key, kind, hashed(key))
        for kind, control in (
            (FlowKind.RATE, options.rate_limit),
            (FlowKind.BATCH, options.batch),
            (FlowKind.DEBOUNCE, options.debounce),
            (FlowKind.SINGLETON, options.singleton),
        )
        if control is not None and (key := seen.key(control.key)) is not None
    ] + _idempotency_keys(function, seen)


def offer(d: Decision, function: FunctionRow, event: EventRow, *, is_invoked: bool) -> RunRow | None:
    """Start a run of an event, or buffer it, or record that it is skipped."""
    options, seen = function.definition.options, Seen(event)
    if options.rate_limit is not None and (key := seen.key(options.rate_limit.key)) is not None:
        flow_key = (function.key, FlowKind.RATE, hashed(key))
        row = take_rate(options.rate_limit, flow_key, d.flow.get(flow_key), d.now)
        if row is None:
            limit = options.rate_limit
            _skip(d, function, event, f"rate limit: {limit.limit} runs have started in its period", key, is_invoked)
            return None
        d.set_flow(flow_key, row)
    batch = options.batch
    if batch is not None and (not batch.expression or seen.value(batch.expression) is True):
        key = seen.key(batch.key)
        if key is not None:
            return _collect(d, function, event, hashed(key), is_invoked=is_invoked)
    if options.debounce is not None and (key := seen.key(options.debounce.key)) is not None:
        _debounce(d, function, event, hashed(key), is_invoked=is_invoked)
        return None
    return _schedule(d, function, event, seen, is_invoked=is_invoked)


def flush(d: Decision, key: FlowKey) -> None:
    """The time of a buffer has come; a timer that is early, or of a buffer that is gone, does nothing."""
    row = d.flow.get(key)
    function = d.functions.get(key[0])
    if row is None or function is None:
        return
    buffer = read_buffer(row)
    if buffer.due_at > d.now:
        d.new_timers.append(flush_timer(key, buffer.due_at))
        return
    d.set_flow(key, None)
    events = [d.events[event_key] for event_key in buffer.event_keys if event_key in d.events]
    if not events:
        return
    if function.state in (FunctionState.DISABLED, FunctionState.DELETED):
        d.superseded += events
        return
    if key[1] is FlowKind.BATCH:
        start(d, function, events, is_invoked=buffer.is_invoked)
    else:
        _schedule(d, function, events[0], Seen(events[0]), is_invoked=buffer.is_invoked)


def start(
    d: Decision,
    function: FunctionRow,
    events: Sequence[EventRow],
    *,
    replay_of: str = "",
    is_invoked: bool = False,
    singleton: int | None = None,
) -> RunRow:
    """Queue a run of these events, with all that counts when it would execute."""
    event, options, now = events[0], function.definition.options, d.now
    if options == NO_OPTIONS and not (replay_of or is_invoked or len(events) > 1):
        return start_plain(d, function, event)
    run_id = d.ids.make()
    seen = Seen(event)
    throttle = seen.key(options.throttle.key) if options.throttle is not None else None
    extra = RunExtra(
        slots=slots_of(function, seen),
        throttle=None if throttle is None else hashed(throttle),
        singleton=singleton,
        priority=priority_of(options.priority, seen),
        more_events=tuple(each.key for each in events[1:]),
        replay_of=replay_of,
        is_invoked=is_invoked,
    )
    waits = rows_of_cancels(options.cancel, run_id=run_id, started_by=event, now=now)
    d.new_waits += waits
    if options.timeouts.start is not None:
        d.new_timers.append(TimerRow(now + options.timeouts.start, TimerKind.START, run_id))
    run = RunRow(
        run_id,
        event.namespace,
        function.key,
        event.key,
        now,
        child_traceparent(event.traceparent, run_span_id(run_id)),
        event.tracestate,
        RunState.QUEUED,
        queued_at=now - extra.priority,
        has_timers=bool(waits) or options.timeouts.start is not None,
        lane=lane_of(extra, has_started=False),
        depth=max(each.depth for each in events),
        extra=None if extra == _NO_EXTRA else extra,
    )
    d.add_run(run)
    return run


_NO_EXTRA = RunExtra()


def _collect(d: Decision, function: FunctionRow, event: EventRow, hash_: int, *, is_invoked: bool) -> RunRow | None:
    """Add an event to its batch, which starts its run once it is full."""
    batch = function.definition.options.batch
    assert batch is not None
    key = (function.key, FlowKind.BATCH, hash_)
    row = d.flow.get(key)
    buffer = read_buffer(row) if row is not None else None
    size = len(event.data)
    if buffer is not None and buffer.size + size > BATCH_DATA_BYTES_MAX:
        _start_batch(d, function, key, buffer)
        buffer = None
    if buffer is None:
        buffer = Buffer(d.now + batch.timeout, d.now, (event.key,), size, is_invoked)
        d.new_timers.append(flush_timer(key, buffer.due_at))
    else:
        buffer = buffer._replace(
            event_keys=(*buffer.event_keys, event.key),
            size=buffer.size + size,
            is_invoked=buffer.is_invoked or is_invoked,
        )
    d.events[event.key] = event
    if len(buffer.event_keys) >= batch.max_size:
        return _start_batch(d, function, key, buffer)
    d.set_flow(key, write_buffer(key, buffer))
    return None


def _start_batch(d: Decision, function: FunctionRow, key: FlowKey, buffer: Buffer) -> RunRow:
    d.set_flow(key, None)
    events = [d.events[event_key] for event_key in buffer.event_keys if event_key in d.events]
    return start(d, function, events, is_invoked=buffer.is_invoked)


def _debounce(d: Decision, function: FunctionRow, event: EventRow, hash_: int, *, is_invoked: bool) -> None:
    """Let an event take the place of the one that waits."""
    debounce = function.definition.options.debounce
    assert debounce is not None
    key = (function.key, FlowKind.DEBOUNCE, hash_)
    row = d.flow.get(key)
    before = read_buffer(row) if row is not None else None
    first_at = before.first_at if before is not None else d.now
    due_at = d.now + debounce.period
    if debounce.timeout is not None:
        due_at = min(due_at, first_at + debounce.timeout)
    d.events[event.key] = event
    d.set_flow(key, write_buffer(key, Buffer(due_at, first_at, (event.key,), 0, is_invoked)))
    if before is None:
        # Later events do not move it: when it comes too early, it is set anew.
        d.new_timers.append(flush_timer(key, due_at))
    elif before.is_invoked and before.event_keys[0] in d.events:
        d.superseded.append(d.events[before.event_keys[0]])


def _schedule(d: Decision, function: FunctionRow, event: EventRow, seen: Seen, *, is_invoked: bool) -> RunRow | None:
    """Start a run, unless another one has its key."""
    options = function.definition.options
    singleton: FlowKey | None = None
    holder: RunRow | None = None
    if options.singleton is not None and (key := seen.key(options.singleton.key)) is not None:
        singleton = (function.key, FlowKind.SINGLETON, hashed(key))
        row = d.flow.get(singleton)
        holder = d.runs.get(row.value) if row is not None else None
        if holder is not None and holder.state in ENDED:
            holder = None
        if holder is not None and not options.singleton.cancels:
            _skip(d, function, event, f"singleton: run {holder.id} is not over", key, is_invoked)
            return None
    idempotency = _idempotency_keys(function, seen)
    for flow_key in idempotency:
        taken = d.flow.get(flow_key)
        if taken is not None and (taken.expires_at or 0) > d.now:
            _skip(d, function, event, f"idempotency: run {taken.value} had the same key", "", is_invoked)
            return None
    if holder is not None:
        cancel(d, holder, "a newer run took its place (singleton)")
    run = start(d, function, [event], is_invoked=is_invoked, singleton=singleton[2] if singleton is not None else None)
    if singleton is not None:
        d.set_flow(singleton, FlowRow(*singleton, run.id))
    for flow_key in idempotency:
        d.set_flow(flow_key, FlowRow(*flow_key, run.id, expires_at=d.now + IDEMPOTENCY_PERIOD))
    return run


def _idempotency_keys(function: FunctionRow, seen: Seen) -> list[FlowKey]:
    source = function.definition.options.idempotency
    key = seen.key(source) if source else None
    return [] if key is None else [(function.key, FlowKind.IDEMPOTENCY, hashed(key))]


def _skip(d: Decision, function: FunctionRow, event: EventRow, message: str, key: str, is_invoked: bool) -> None:  # noqa: PLR0917 private
    """Record that an event starts no run, and why."""
    run_id = d.ids.make()
    run = RunRow(
        run_id,
        event.namespace,
        function.key,
        event.key,
        d.now,
        child_traceparent(event.traceparent, run_span_id(run_id)),
        event.tracestate,
        RunState.SKIPPED,
        queued_at=d.now,
        ended_at=d.now,
        failure=Failure("Skipped", f"{message} (key {key[:_KEY_SHOWN]})" if key else message, reason=Reason.SKIPPED),
        depth=event.depth,
        extra=RunExtra(is_invoked=True) if is_invoked else None,
    )
    d.add_run(run)
    d.ended.append(run)
