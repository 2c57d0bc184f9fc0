"""What is wrong with a request, field by field, whatever the state of the server.

Events are checked as records, after their translation: those of a call and those of a step obey the same rules. Texts
that come again and again (names, step keys, namespaces) are looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import orjson
from google.protobuf.duration_pb2 import Duration

from controlplane.core import cron, expression
from controlplane.core.ids import is_step_key, is_traceparent
from controlplane.core.limits import (
    CALL_ITEMS_MAX,
    DAY,
    DELAYS_MAX,
    EVENT_DELAY_MAX,
    FUNCTIONS_PER_SESSION_MAX,
    ID_BYTES_MAX,
    NAME_BYTES_MAX,
    PATH_BYTES_MAX,
    RETRIES_MAX,
    SLUG_BYTES_MAX,
    TRACESTATE_BYTES_MAX,
    TRIGGERS_MAX,
    VIOLATIONS_MAX,
    Limits,
)
from controlplane.core.records import NewEvent
from controlplane.errors import FieldViolation, InvalidArgument
from controlplane.gen.steplane.v1 import function_pb2, work_pb2
from controlplane.rpc.translate import duration_of

DEFAULT_NAMESPACE: Final = "default"
RESERVED_PREFIX: Final = "steplane/"
INTERNAL_EVENTS: Final = (
    "steplane/function.finished",
    "steplane/function.failed",
    "steplane/function.cancelled",
    "steplane/function.invoked",
    "steplane/schedule.fired",
)
_EVENT_FIELDS: Final = ("data", "id", "name", "ts")

_SLUG: Final = re.compile(r"[A-Za-z0-9._-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REQUIRED: Final = "is required"

Violations: TypeAlias = list[FieldViolation]


def refuse(found: Violations) -> None:
    """Raise `InvalidArgument` if anything was found."""
    if found:
        raise InvalidArgument(*found)


def namespace_of(text: str, found: Violations, field: str = "namespace") -> str:
    """The namespace that a request names."""
    if text and (problem := slug_problem(text)):
        found.append(FieldViolation(field, problem))
    return text or DEFAULT_NAMESPACE


def batch(count: int, size: int, limits: Limits, field: str = "events") -> Violations:
    """What is wrong with the size of a batch of `count` events and `size` bytes. To be asked before they are looked at."""
    if count < 1:
        return [FieldViolation(field, "must have at least one event")]
    if count > limits.batch_events_max:
        return [FieldViolation(field, f"has {count} events; a batch has {limits.batch_events_max} at most")]
    if size > limits.batch_bytes_max:
        return [FieldViolation(field, f"has {size} bytes; a batch has {limits.batch_bytes_max} at most")]
    return []


def events(records: Sequence[NewEvent], limits: Limits, now: int, field: str = "events") -> Violations:
    """What is wrong with the events of one call or step."""
    found: Violations = []
    for index, event in enumerate(records):
        problem = name_problem(event.name)
        if problem is not None:
            found.append(FieldViolation(f"{field}[{index}].name", problem))
        problems = event_problems(event, limits, now)
        if problems:
            found.extend(FieldViolation(f"{field}[{index}].{path}", problem) for path, problem in problems)
        if len(found) >= VIOLATIONS_MAX:
            break
    return found[:VIOLATIONS_MAX]


def event_problems(event: NewEvent, limits: Limits, now: int) -> Sequence[tuple[str, str]]:
    """What is wrong with an event apart from its name, each with the path of the field."""
    id_, _, data, encoding, ts, traceparent, tracestate = event
    # One condition for what nearly every event passes; the words are found only if it does not.
    if (
        (not id_ or (len(id_) <= ID_BYTES_MAX and id_.isascii() and id_.isprintable()))
        and len(data) <= limits.event_bytes_max
        and (not encoding or encoding == "json")
        and (ts is None or 0 <= ts <= now + EVENT_DELAY_MAX)
        and (not traceparent or (is_traceparent(traceparent) and tracestate_problem(tracestate) is None))
        and _is_json_object(data)
    ):
        return ()
    pairs = (
        ("id", text_problem(id_, ID_BYTES_MAX) if id_ else None),
        ("data.encoding", encoding_problem(encoding)),
        ("data", data_problem(data, encoding, limits)),
        ("ts", None if ts is None else _ts_problem(ts, now)),
        ("traceparent", None if not traceparent or is_traceparent(traceparent) else "is not a W3C traceparent"),
        ("tracestate", tracestate_problem(tracestate)),
    )
    return [(path, problem) for path, problem in pairs if problem is not None]


@lru_cache(maxsize=4096)
def name_problem(name: str) -> str | None:
    """What is wrong with an event's name."""
    if name.startswith(RESERVED_PREFIX):
        return f'begins with "{RESERVED_PREFIX}", which is reserved for the server\'s own events'
    return _printable_problem(name, NAME_BYTES_MAX)


def _printable_problem(text: str, bytes_max: int) -> str | None:
    problem = text_problem(text, bytes_max)
    if problem is not None:
        return problem
    if not text.isprintable():
        return "has characters that can't be printed"
    if text != text.strip():
        return "begins or ends with a space"
    return None


def text_problem(text: str, bytes_max: int) -> str | None:
    """What is wrong with a text that must not be empty."""
    if not text:
        return _REQUIRED
    size = len(text.encode())
    if size > bytes_max:
        return f"has {size} bytes; {bytes_max} are the most"
    if _CONTROL.search(text):
        return "has control characters"
    return None


@lru_cache(maxsize=1024)
def slug_problem(text: str) -> str | None:
    """What is wrong with the id of an app or a function, or with a namespace."""
    if not text:
        return _REQUIRED
    if len(text) > SLUG_BYTES_MAX:
        return f"has {len(text)} characters; {SLUG_BYTES_MAX} are the most"
    if not _SLUG.fullmatch(text):
        return 'may have letters, digits, ".", "_" and "-" only'
    return None


@lru_cache(maxsize=8192)
def step_key_problem(key: str) -> str | None:
    """What is wrong with a step's key."""
    if not is_step_key(key):
        return 'is not a step\'s id, "#" and how often that id was used before'
    return text_problem(key, ID_BYTES_MAX)


def tracestate_problem(text: str) -> str | None:
    """What is wrong with a trace state."""
    if len(text) > TRACESTATE_BYTES_MAX:
        return f"has {len(text)} characters; {TRACESTATE_BYTES_MAX} are the most"
    if not (text.isascii() and text.isprintable()):
        return "has characters other than printable ASCII"
    return None


def json_problem(data: bytes) -> str | None:
    """Why some bytes are not one JSON value in UTF-8."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"is not JSON in UTF-8: {error}"
    return None


def _is_json_object(data: bytes) -> bool:
    try:
        return type(orjson.loads(data)) is dict
    except orjson.JSONDecodeError:
        return False


def data_problem(data: bytes, encoding: str, limits: Limits) -> str | None:
    """What is wrong with the data of an event."""
    if len(data) > limits.event_bytes_max:
        return f"has {len(data)} bytes; an event's data has {limits.event_bytes_max} at most"
    if encoding not in ("", "json"):
        return None
    problem = json_problem(data)
    if problem is None and not _is_json_object(data):
        return "is JSON, but not an object"
    return problem


def encoding_problem(encoding: str) -> str | None:
    """What is wrong with the name of an encoding."""
    return _printable_problem(encoding, SLUG_BYTES_MAX) if encoding else None


def _ts_problem(ts: int, now: int) -> str | None:
    if ts < 0:
        return "is before 1970"
    if ts > now + EVENT_DELAY_MAX:
        return f"is more than {EVENT_DELAY_MAX // DAY} days ahead"
    return None


def function_name(app_id: str, function_id: str, found: Violations) -> None:
    """Check how a request names a function: the app may be left out."""
    if app_id and (problem := slug_problem(app_id)):
        found.append(FieldViolation("app_id", problem))
    if problem := slug_problem(function_id):
        found.append(FieldViolation("function_id", problem))


def definition(definition_: function_pb2.FunctionDefinition, found: Violations) -> None:
    """Check a function's definition."""
    for field in ("app_id", "function_id"):
        if problem := slug_problem(getattr(definition_, field)):
            found.append(FieldViolation(f"definition.{field}", problem))
    if definition_.name and (problem := _printable_problem(definition_.name, NAME_BYTES_MAX)):
        found.append(FieldViolation("definition.name", problem))
    count = len(definition_.triggers)
    if not 1 <= count <= TRIGGERS_MAX:
        problem = f"has {count} triggers; a function has 1 to {TRIGGERS_MAX}"
        found.append(FieldViolation("definition.triggers", problem))
    for index, trigger in enumerate(definition_.triggers[:TRIGGERS_MAX]):
        _trigger(trigger, f"definition.triggers[{index}]", found)
    if definition_.HasField("retry"):
        _retry(definition_.retry, "definition.retry", found)


def _trigger(trigger: function_pb2.Trigger, field: str, found: Violations) -> None:
    match trigger.WhichOneof("kind"):
        case "event":
            if problem := pattern_problem(trigger.event.event):
                found.append(FieldViolation(f"{field}.event.event", problem))
            source = trigger.event.expression
            if source and (problem := expression.check(source)):
                found.append(FieldViolation(f"{field}.event.expression", problem))
        case "cron":
            if problem := cron.check(trigger.cron.cron, trigger.cron.time_zone or "UTC"):
                found.append(FieldViolation(f"{field}.cron", problem))
        case _:
            found.append(FieldViolation(field, "is neither an event nor a cron trigger"))


@lru_cache(maxsize=1024)
def pattern_problem(pattern: str) -> str | None:
    """What is wrong with the name of an event that is asked for."""
    if "*" in pattern[:-1]:
        return 'may have a "*" at its end only'
    if pattern.startswith(RESERVED_PREFIX) and not _is_internal(pattern):
        return f"is none of the server's own events: {', '.join(INTERNAL_EVENTS)}"
    return _printable_problem(pattern, NAME_BYTES_MAX)


def _is_internal(pattern: str) -> bool:
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in INTERNAL_EVENTS)
    return pattern in INTERNAL_EVENTS


@lru_cache(maxsize=1024)
def path_problem(path: str) -> str | None:
    """What is wrong with a path into an event."""
    if len(path) > PATH_BYTES_MAX:
        return f"has {len(path)} characters; {PATH_BYTES_MAX} are the most"
    first, *names = path.split(".")
    if first not in _EVENT_FIELDS or not all(names) or (first == "data") != bool(names):
        return 'is not a path into an event, such as "data.user_id"; its first name is data, id, name or ts'
    return text_problem(path, PATH_BYTES_MAX)


def retry_problems(retry: function_pb2.RetryPolicy, field: str) -> Violations:
    """What is wrong with a retry policy."""
    found: Violations = []
    _retry(retry, field, found)
    return found


def _retry(retry: function_pb2.RetryPolicy, field: str, found: Violations) -> None:
    if retry.retries > RETRIES_MAX:
        found.append(FieldViolation(f"{field}.retries", f"is {retry.retries}; {RETRIES_MAX} is the most"))
    if len(retry.delays) > DELAYS_MAX:
        problem = f"has {len(retry.delays)} delays; {DELAYS_MAX} are the most"
        found.append(FieldViolation(f"{field}.delays", problem))
    for index, delay in enumerate(retry.delays[:DELAYS_MAX]):
        _delay(delay, f"{field}.delays[{index}]", found)
    _delay(retry.jitter, f"{field}.jitter", found)


def _delay(delay: Duration, field: str, found: Violations) -> None:
    if not 0 <= duration_of(delay) <= DAY:
        found.append(FieldViolation(field, "must be from 0 to 24 hours"))


def hello(frame: work_pb2.Hello) -> Violations:
    """What is wrong with a worker's hello."""
    found: Violations = []
    namespace_of(frame.namespace, found, "hello.namespace")
    if problem := slug_problem(frame.app_id):
        found.append(FieldViolation("hello.app_id", problem))
    if not 1 <= len(frame.function_ids) <= FUNCTIONS_PER_SESSION_MAX:
        problem = f"has {len(frame.function_ids)} functions; a session serves 1 to {FUNCTIONS_PER_SESSION_MAX}"
        found.append(FieldViolation("hello.function_ids", problem))
    for index, function_id in enumerate(frame.function_ids[:FUNCTIONS_PER_SESSION_MAX]):
        if problem := slug_problem(function_id):
            found.append(FieldViolation(f"hello.function_ids[{index}]", problem))
    if problem := text_problem(frame.instance_id, SLUG_BYTES_MAX):
        found.append(FieldViolation("hello.instance_id", problem))
    for field in ("sdk", "language"):
        text = getattr(frame, field)
        if text and (problem := text_problem(text, NAME_BYTES_MAX)):
            found.append(FieldViolation(f"hello.{field}", problem))
    return found[:VIOLATIONS_MAX]


def leases(messages: Sequence[work_pb2.Lease], field: str, found: Violations) -> None:
    """Check the leases that a call names."""
    if len(messages) > CALL_ITEMS_MAX:
        found.append(FieldViolation(field, f"has {len(messages)} leases; a call has {CALL_ITEMS_MAX} at most"))
        return
    for index, lease in enumerate(messages):
        if problem := text_problem(lease.run_id, ID_BYTES_MAX):
            found.append(FieldViolation(f"{field}[{index}].run_id", problem))
        if lease.epoch < 1:
            found.append(FieldViolation(f"{field}[{index}].epoch", "is required; the first lease of a run has epoch 1"))
        if len(found) >= VIOLATIONS_MAX:
            break
