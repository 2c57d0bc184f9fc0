"""Reports of steps that wait for others, or send signals: checked in form, and turned into records."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration

from controlplane.core.limits import DAY, ID_BYTES_MAX, WAIT_MAX, WAITED_EVENTS_MAX, Limits
from controlplane.core.requests import InvokeRequest, SignalRequest, SignalWaitRequest, WaitedEvent, WaitRequest
from controlplane.gen.steplane.v1 import payload_pb2, work_pb2
from controlplane.rpc import options, validate
from controlplane.rpc.translate import duration_of, event_data, moment_of

_NULL: Final = b"null"
_JSON: Final = ("", "json")
_CONFLICTS: Final = frozenset({0, work_pb2.SIGNAL_CONFLICT_FAIL, work_pb2.SIGNAL_CONFLICT_REPLACE})


class Wrong(Exception):
    """A report is wrong in form."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def wait(body: work_pb2.WaitStarted, now: int) -> WaitRequest:
    """A wait for events. Raises `Wrong`."""
    count = len(body.events)
    if not 1 <= count <= WAITED_EVENTS_MAX:
        raise Wrong("INVALID_WAIT", f"it waits for {count} events; 1 to {WAITED_EVENTS_MAX} can be waited for")
    for index, waited in enumerate(body.events):
        for field, problem in options.waited(f"events[{index}]", waited):
            reason = "INVALID_EXPRESSION" if field.endswith(".expression") else "INVALID_WAIT"
            raise Wrong(reason, f"{field} {problem}")
    since = moment_of(body.since) if body.HasField("since") else None
    if since is not None and not 0 <= since <= now + DAY:
        raise Wrong("INVALID_WAIT", "since has to be a moment since 1970, and not in the future")
    return WaitRequest(
        tuple(WaitedEvent(waited.event, waited.match, waited.expression) for waited in body.events),
        body.all_of,
        _timeout(body.timeout, is_set=body.HasField("timeout")),
        since,
        body.since_run,
    )


def invoke(body: work_pb2.InvokeStarted, limits: Limits) -> InvokeRequest:
    """An invocation. Raises `Wrong`."""
    found: validate.Violations = []
    validate.function_name(body.app_id, body.function_id, found)
    data = event_data(body.data.data, body.data.encoding)
    if problem := validate.data_problem(data, body.data.encoding, limits) or validate.encoding_problem(
        body.data.encoding
    ):
        raise Wrong("INVALID_INVOKE", f"data {problem}")
    for field, problem in found:
        raise Wrong("INVALID_INVOKE", f"{field} {problem}")
    timeout = _timeout(body.timeout, is_set=body.HasField("timeout"))
    return InvokeRequest(body.app_id, body.function_id, data, body.data.encoding, timeout)


def signal_wait(body: work_pb2.SignalWaitStarted) -> SignalWaitRequest:
    """A wait for a signal. Raises `Wrong`."""
    if problem := validate.text_problem(body.signal, ID_BYTES_MAX):
        raise Wrong("INVALID_SIGNAL", f"signal {problem}")
    if body.on_conflict not in _CONFLICTS:
        raise Wrong("INVALID_SIGNAL", f"on_conflict is {body.on_conflict}, which this server does not know")
    replaces = body.on_conflict == work_pb2.SIGNAL_CONFLICT_REPLACE
    return SignalWaitRequest(body.signal, _timeout(body.timeout, is_set=body.HasField("timeout")), replaces)


def signal(name: str, payload: payload_pb2.Payload, limits: Limits) -> SignalRequest:
    """A signal. Raises `Wrong`."""
    for field, problem in signal_problems(name, payload, limits):
        raise Wrong("INVALID_SIGNAL", f"{field} {problem}")
    return SignalRequest(name, payload.data or _NULL, payload.encoding)


def signal_problems(name: str, payload: payload_pb2.Payload, limits: Limits) -> list[tuple[str, str]]:
    """What is wrong with a signal, each with the path of the field."""
    data, encoding = payload.data or _NULL, payload.encoding
    pairs = (
        ("signal", validate.text_problem(name, ID_BYTES_MAX)),
        ("data.encoding", validate.encoding_problem(encoding)),
        ("data", _value_problem(data, encoding, limits)),
    )
    return [(field, problem) for field, problem in pairs if problem is not None]


def _value_problem(data: bytes, encoding: str, limits: Limits) -> str | None:
    if len(data) > limits.event_bytes_max:
        return f"has {len(data)} bytes; {limits.event_bytes_max} are the most"
    return validate.json_problem(data) if encoding in _JSON else None


def _timeout(message: Duration, *, is_set: bool) -> int:
    if not is_set:
        return WAIT_MAX
    timeout = duration_of(message)
    if not 0 <= timeout <= WAIT_MAX:
        raise Wrong("INVALID_DURATION", f"a time-out is from 0 to {WAIT_MAX // DAY} days")
    return timeout
