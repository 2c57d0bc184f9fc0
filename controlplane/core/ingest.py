"""Takes events in: fills in what is missing, tells duplicates, delays those of the future."""

from __future__ import annotations

from controlplane.core.decision import Decision, Incoming
from controlplane.core.records import EventRow, TimerKind, TimerRow


def accept(d: Decision, first_key: int) -> None:
    """Make rows of all incoming events, from `first_key` up."""
    incoming, d.incoming = d.incoming, []
    key = first_key
    for each in incoming:
        key = _accept_one(d, each, key)


def _accept_one(d: Decision, incoming: Incoming, key: int) -> int:
    now, ids, namespace, seen = d.now, d.ids, incoming.namespace, d.event_ids
    function = incoming.function
    for event in incoming.events:
        if event.id:
            event_id = event.id
            if (namespace, event_id) in seen:
                incoming.ids.append(event_id)
                incoming.duplicates += 1
                continue
            seen.add((namespace, event_id))
        else:
            event_id = ids.make()
        incoming.ids.append(event_id)
        row = EventRow(
            key,
            namespace,
            event_id,
            event.name,
            event.data,
            event.encoding,
            now if event.ts is None else event.ts,
            now,
            event.traceparent or f"00-{ids.trace_id()}-{ids.span_id()}-01",
            event.tracestate,
            incoming.source_run_id,
            incoming.source_step_key,
            incoming.depth,
        )
        key += 1
        d.new_events.append(row)
        if function is not None:
            d.starting.append((row, function, incoming))
            d.not_started[row.key] = function.key
            d.matching.append(row)
            continue
        if incoming.not_function:
            d.not_started[row.key] = incoming.not_function
        if row.ts > now:
            d.new_timers.append(TimerRow(row.ts, TimerKind.EVENT, str(row.key)))
        else:
            d.matching.append(row)
    return key
