"""Which runs a request asks for."""

from __future__ import annotations

from typing import Final, TypeAlias

from controlplane.core.limits import SECOND
from controlplane.core.states import RunState
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.rpc import validate
from controlplane.rpc.translate import moment_of
from controlplane.store.interface import RunFilter

_MOMENT_MAX: Final = 253_402_300_800 * SECOND
"""The year 10,000: what a time stamp may hold."""

_Request: TypeAlias = run_pb2.ListRunsRequest | run_pb2.RunSelection


def run_filter(request: run_pb2.ListRunsRequest) -> RunFilter:
    """The filter of a request; raises `InvalidArgument` if it is wrong."""
    found: validate.Violations = []
    filter_ = RunFilter(
        namespace=validate.namespace_of(request.namespace, found),
        app_id=request.app_id,
        function_id=request.function_id,
        states=states(request, found),
        event_id=request.event_id,
        created_min=moment(request, "create_time_min", found),
        created_max=moment(request, "create_time_max", found),
    )
    validate.refuse(found)
    return filter_


def states(message: _Request, found: validate.Violations, field: str = "states") -> tuple[RunState, ...]:
    """The states that a request names."""
    known = []
    for index, number in enumerate(message.states):
        try:
            known.append(RunState(number))
        except ValueError:
            found.append(FieldViolation(f"{field}[{index}]", f"{number} is not the state of a run"))
    return tuple(known)


def moment(message: _Request, name: str, found: validate.Violations, field: str = "") -> int | None:
    """A moment that a request names, if it does."""
    if not message.HasField(name):
        return None
    moment_ = moment_of(getattr(message, name))
    if not 0 <= moment_ < _MOMENT_MAX:
        found.append(FieldViolation(field or name, "is not between the years 1970 and 9999"))
    return moment_
