"""The W3C trace context in a call's metadata, or in a request's headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from controlplane.core.ids import is_traceparent
from controlplane.rpc.validate import tracestate_problem


class Trace(NamedTuple):
    """A trace context; both are empty if there is none."""

    traceparent: str = ""
    tracestate: str = ""


def trace_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> Trace:
    """The trace context that a call belongs to. One that is not valid is ignored, as W3C says."""
    traceparent = tracestate = ""
    for key, value in metadata or ():
        if key == "traceparent":
            traceparent = str(value)
        elif key == "tracestate":
            tracestate = str(value)
    if not traceparent or not is_traceparent(traceparent):
        return Trace()
    return Trace(traceparent, "" if tracestate_problem(tracestate) else tracestate)
