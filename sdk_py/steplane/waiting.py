"""What the steps that wait for others ask for, as their reports have it.

A mistake is told where it is written, with the step and what would do, and is never tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from google.protobuf.duration_pb2 import Duration

from steplane import sizes
from steplane.codec import as_timedelta, encode, encode_duration, encode_moment
from steplane.errors import ArgumentError, NotSerializableError
from steplane.function import Function
from steplane.gen.steplane.v1 import payload_pb2, work_pb2
from steplane.limits import Limits

WAITED_EVENTS_MAX: Final = 10
TIME_MAX: Final = timedelta(days=366)
_CONFLICTS: Final = {
    "fail": work_pb2.SIGNAL_CONFLICT_FAIL,
    "replace": work_pb2.SIGNAL_CONFLICT_REPLACE,
}


@dataclass(frozen=True, kw_only=True)
class WaitedEvent:
    """One of several events that `ctx.step.wait_for_event` waits for."""

    event: str
    """The event's name; a `*` at its end matches any rest."""
    match: str = ""
    """A path, for example `data.user_id`, that has to have the same value in the event that started the run and in this
    one."""
    if_exp: str = ""
    """A CEL expression over `event`, which started the run, and `async`, which is this one, that has to be true. Not
    together with `match`."""


#: What is waited for: an event, or several.
Waited: TypeAlias = str | WaitedEvent | Sequence[str | WaitedEvent]
#: From when on an event counts that came before the wait.
Since: TypeAlias = datetime | Literal["run"]


def wait_for_event(
    step_id: str,
    *,
    event: Waited,
    match: str | None,
    if_exp: str | None,
    timeout: timedelta | int | None,
    since: Since | None,
    all_of: bool,
) -> work_pb2.WaitStarted:
    """A wait for an event. Raises `ArgumentError`."""
    several = _several(event)
    if not several:
        raise ArgumentError(f"step {step_id!r} waits for no event; name one by event=...")
    if len(several) > WAITED_EVENTS_MAX:
        raise ArgumentError(f"step {step_id!r} waits for {len(several)} events; {WAITED_EVENTS_MAX} are the most")
    wait = work_pb2.WaitStarted(all_of=all_of, timeout=_timeout(step_id, timeout))
    wait.events.extend(_waited(step_id, each, match or "", if_exp or "") for each in several)
    if isinstance(since, datetime):
        wait.since.CopyFrom(encode_moment(moment_of(step_id, since)))
    elif since == "run":
        wait.since_run = True
    elif since is not None:
        raise ArgumentError(f"step {step_id!r}: since is a moment or 'run', not {since!r}")
    return wait


def invoke(
    step_id: str,
    *,
    function: Function[Any] | str,
    data: Mapping[str, Any] | None,
    timeout: timedelta | int | None,
    limits: Limits,
) -> work_pb2.InvokeStarted:
    """An invocation of a function. Raises `ArgumentError`, `NotSerializableError` or `TooLargeError`."""
    if isinstance(function, Function):
        app_id, function_id = function.definition.app_id, function.id
    else:
        app_id, _, function_id = _name(step_id, "function", function).rpartition("/")
    payload = _payload(step_id, {} if data is None else data, limits)
    if not payload.data.startswith(b"{"):
        raise NotSerializableError(
            f"the data of step {step_id!r} is a {type(data).__name__}; it has to be a dict, as an event's is"
        )
    return work_pb2.InvokeStarted(
        app_id=app_id, function_id=function_id, data=payload, timeout=_timeout(step_id, timeout)
    )


def wait_for_signal(
    step_id: str, *, signal: str, timeout: timedelta | int | None, on_conflict: Literal["fail", "replace"]
) -> work_pb2.SignalWaitStarted:
    """A wait for a signal. Raises `ArgumentError`."""
    if on_conflict not in _CONFLICTS:
        raise ArgumentError(f"step {step_id!r}: on_conflict is 'fail' or 'replace', not {on_conflict!r}")
    return work_pb2.SignalWaitStarted(
        signal=_name(step_id, "signal", signal),
        timeout=_timeout(step_id, timeout),
        on_conflict=_CONFLICTS[on_conflict],
    )


def send_signal(step_id: str, *, signal: str, data: Any, limits: Limits) -> work_pb2.SignalSent:
    """A signal. Raises `ArgumentError`, `NotSerializableError` or `TooLargeError`."""
    return work_pb2.SignalSent(signal=_name(step_id, "signal", signal), data=_payload(step_id, data, limits))


def duration_of(step_id: str, name: str, duration: timedelta | int) -> timedelta:
    """How long a step sleeps, or waits at the most. Raises `ArgumentError`."""
    try:
        length = as_timedelta(duration)
    except (TypeError, OverflowError) as error:
        raise ArgumentError(f"step {step_id!r}: {name}={duration!r}: {error}") from error
    if length > TIME_MAX:
        raise ArgumentError(f"step {step_id!r}: {name} is {length}; {TIME_MAX.days} days are the most")
    return length


def moment_of(step_id: str, moment: datetime) -> datetime:
    """A moment that a step names. Raises `ArgumentError`."""
    if moment.tzinfo is None:
        raise ArgumentError(
            f"step {step_id!r}: {moment.isoformat()} has no time zone; use datetime.now(UTC), for example"
        )
    return moment


def _timeout(step_id: str, timeout: timedelta | int | None) -> Duration | None:
    if timeout is None:
        return None
    length = duration_of(step_id, "timeout", timeout)
    if length < timedelta():
        raise ArgumentError(f"step {step_id!r}: timeout is {length}; it can't be negative")
    return encode_duration(length)


def _several(event: Any) -> Sequence[Any]:
    return event if isinstance(event, Sequence) and not isinstance(event, str) else [event]


def _waited(step_id: str, event: Any, match: str, if_exp: str) -> work_pb2.WaitedEvent:
    if isinstance(event, WaitedEvent):
        if match or if_exp:
            raise ArgumentError(
                f"step {step_id!r}: match and if_exp are for events that are given by name; "
                f"say it in WaitedEvent(event={event.event!r}, ...)"
            )
        event, match, if_exp = event.event, event.match, event.if_exp
    name = _name(step_id, "event", event)
    if match and if_exp:
        raise ArgumentError(
            f"step {step_id!r}: event {name!r} has match and if_exp; say both in if_exp: "
            f"'event.{match} == async.{match} && ...'"
        )
    return work_pb2.WaitedEvent(event=name, match=match, expression=if_exp)


def _name(step_id: str, what: str, name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"step {step_id!r}: {what} is a name, not {name!r}")
    return name


def _payload(step_id: str, data: Any, limits: Limits) -> payload_pb2.Payload:
    encoded = encode(data, "the data of step", step_id)[0]
    sizes.check_data(encoded, step_id, limits)
    return payload_pb2.Payload(data=encoded)
