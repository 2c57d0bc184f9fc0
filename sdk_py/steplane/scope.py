"""Where the code that runs just now is: in a run, or in the body of one of its steps."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from steplane.replay.key import child_traceparent, step_span_id
from steplane.replay.machine import Machine, StepCall

SCOPE: Final[ContextVar[Machine | StepCall | None]] = ContextVar("steplane_scope", default=None)


def current_traceparent() -> str:
    """The W3C trace context of the step whose body this is called in, else of the run; empty outside of runs.

    Pass it on when a step calls another service, so that its spans become children of the step's.
    """
    scope = SCOPE.get()
    if scope is None:
        return ""
    if isinstance(scope, Machine):
        return scope.traceparent
    run = scope.machine
    return child_traceparent(run.traceparent, step_span_id(run.run_id, scope.key))
