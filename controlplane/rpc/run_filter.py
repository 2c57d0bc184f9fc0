"""Which runs a request asks for."""

from __future__ import annotations

from typing import Final

from controlplane.core.limits import SECOND
from controlplane.core.states import RunState
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.rpc import validate
from controlplane.rpc.translate import moment_of
from controlplane.store.interface import RunFilter

_MOMENT_MAX: Final = 253_402_300_800 * SECOND
"""The year 10,000: what a time stamp may hold."""


def run_filter(request: run_pb2.ListRunsRequest) -> RunFilter:
    """The filter of a request; raises `InvalidArgument` if it is wrong."""
    found: validate.Violations = []
    filter_ = RunFilter(
        namespace=validate.namespace_of(request.namespace, found),
        app_id=request.app_id,
        function_id=request.function_id,
        states=_states(request, found),
        event_id=request.event_id,
        created_min=_moment(request, "create_time_min", found),
        created_max=_moment(request, "create_time_max", found),
    )
    validate.refuse(found)
    return filter_


def _states(request: run_pb2.ListRunsRequest, found: validate.Violations) -> tuple[RunState, ...]:
    states = []
    for index, number in enumerate(request.states):
        try:
            states.append(RunState(number))
        except ValueError:
            found.append(FieldViolation(f"states[{index}]", f"{number} is not the state of a run"))
    return tuple(states)


def _moment(request: run_pb2.ListRunsRequest, field: str, found: validate.Violations) -> int | None:
    if not request.HasField(field):
        return None
    moment = moment_of(getattr(request, field))
    if not 0 <= moment < _MOMENT_MAX:
        found.append(FieldViolation(field, "is not between the years 1970 and 9999"))
    return moment
