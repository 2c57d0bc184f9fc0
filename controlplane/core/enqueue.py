"""Makes a queued run of each event and the function that it starts."""

from __future__ import annotations

from controlplane.core.decision import Decision
from controlplane.core.ids import child_traceparent, run_span_id
from controlplane.core.records import RunRow
from controlplane.core.states import RunState


def enqueue(d: Decision) -> None:
    """Queue all runs that are to start; guarantee 2: each event starts each function once."""
    now, make = d.now, d.ids.make
    for event, function, incoming in d.starting:
        run_id = make()
        d.new_runs.append(
            RunRow(
                run_id,
                event.namespace,
                function.key,
                event.key,
                now,
                child_traceparent(event.traceparent, run_span_id(run_id)),
                event.tracestate,
                RunState.QUEUED,
                queued_at=now,
            )
        )
        if incoming is not None:
            incoming.run_ids.append(run_id)
