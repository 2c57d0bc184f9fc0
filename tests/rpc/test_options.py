"""Flow control of a function, over the wire: nothing of it is lost, and what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.definition import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Options,
    RateLimit,
    Scope,
    Singleton,
    Throttle,
    Timeouts,
)
from controlplane.core.limits import DAY, SECOND
from controlplane.gen.steplane.v1 import function_pb2
from controlplane.rpc import options, validate

DURATIONS = st.integers(SECOND, 7 * DAY)
KEYS = st.text(max_size=5)
OPTIONS = st.builds(
    Options,
    batch=st.none() | st.builds(Batch, st.integers(2, 100), DURATIONS, KEYS, KEYS),
    cancel=st.lists(st.builds(CancelOn, KEYS, KEYS, KEYS, st.none() | DURATIONS), max_size=3).map(tuple),
    concurrency=st.lists(
        st.builds(Concurrency, st.integers(1, 9), KEYS, st.sampled_from(Scope), st.booleans()), max_size=2
    ).map(tuple),
    debounce=st.none() | st.builds(Debounce, DURATIONS, KEYS, st.none() | DURATIONS),
    priority=KEYS,
    rate_limit=st.none() | st.builds(RateLimit, st.integers(1, 9), DURATIONS, KEYS),
    singleton=st.none() | st.builds(Singleton, KEYS, st.booleans()),
    throttle=st.none() | st.builds(Throttle, st.integers(1, 9), DURATIONS, st.integers(1, 9), KEYS),
    timeouts=st.builds(Timeouts, st.none() | DURATIONS, st.none() | DURATIONS),
    idempotency=KEYS,
)


@given(OPTIONS)
def test_options_come_back(expected: Options) -> None:
    """What a worker reads, it may register again: nothing changes."""
    message = function_pb2.FunctionDefinition()
    options.fill_options(message, expected)

    assert options.options_of(message) == expected


def problems(text: str) -> dict[str, str]:
    """What is wrong with options, by field."""
    message = text_format.Parse(text, function_pb2.FunctionDefinition())
    found: validate.Violations = []
    options.check(message, found)
    return {violation.field.removeprefix("definition."): violation.description for violation in found}


AT_THE_BOUNDS = [
    "batch { max_size: 2 timeout { seconds: 1 } }",
    "batch { max_size: 100 timeout { seconds: 604800 } key: 'event.data.k' expression: 'true' }",
    "cancel { event: 'a/*' match: 'data.a.b' timeout { seconds: 31622400 } } " * 5,
    "cancel { event: 'a' expression: 'async.data.k == event.data.k' }",
    "concurrency { limit: 1 } concurrency { limit: 100000 key: 'event.data.k' scope: CONCURRENCY_SCOPE_NAMESPACE }",
    "concurrency { limit: 1 } concurrency { limit: 2 scope: CONCURRENCY_SCOPE_APP hold: CONCURRENCY_HOLD_RUN }",
    "debounce { period { seconds: 1 } timeout { seconds: 31622400 } }",
    "priority { run: 'event.data.p' }",
    "rate_limit { limit: 1000 period { seconds: 86400 } }",
    "singleton { mode: SINGLETON_MODE_CANCEL }",
    "throttle { limit: 100000 period { seconds: 604800 } burst: 100000 }",
    "timeouts { start { seconds: 1 } finish { seconds: 31622400 } }",
    "idempotency { key: 'event.id' }",
]


@pytest.mark.parametrize("text", AT_THE_BOUNDS)
def test_what_is_at_a_bound_is_taken(text: str) -> None:
    """The bounds belong to what is right."""
    assert problems(text) == {}


ONE_PAST: list[tuple[str, str]] = [
    ("batch { max_size: 1 timeout { seconds: 1 } }", "batch.max_size"),
    ("batch { max_size: 101 timeout { seconds: 1 } }", "batch.max_size"),
    ("batch { max_size: 2 }", "batch.timeout"),
    ("batch { max_size: 2 timeout { seconds: 604800 nanos: 1000 } }", "batch.timeout"),
    ("batch { max_size: 2 timeout { seconds: 1 } key: 'nothing' }", "batch.key"),
    ("batch { max_size: 2 timeout { seconds: 1 } expression: '1 +' }", "batch.expression"),
    ("batch { max_size: 2 timeout { seconds: 1 } } debounce { period { seconds: 1 } }", "batch"),
    ("batch { max_size: 2 timeout { seconds: 1 } } singleton { }", "batch"),
    ("batch { max_size: 2 timeout { seconds: 1 } } priority { run: '1' }", "batch"),
    ("batch { max_size: 2 timeout { seconds: 1 } } cancel { event: 'a' }", "batch"),
    ("batch { max_size: 2 timeout { seconds: 1 } } idempotency { key: '1' }", "batch"),
    ("cancel { event: 'a' } " * 6, "cancel"),
    ("cancel { }", "cancel[0].event"),
    ("cancel { event: 'a' match: 'user' }", "cancel[0].match"),
    ("cancel { event: 'a' match: 'data' }", "cancel[0].match"),
    ("cancel { event: 'a' match: 'data.k' expression: 'true' }", "cancel[0].expression"),
    ("cancel { event: 'a' expression: 'other.data' }", "cancel[0].expression"),
    ("cancel { event: 'a' timeout { seconds: 31622401 } }", "cancel[0].timeout"),
    ("cancel { event: 'steplane/nothing' }", "cancel[0].event"),
    ("concurrency { limit: 0 }", "concurrency[0].limit"),
    ("concurrency { limit: 100001 }", "concurrency[0].limit"),
    ("concurrency { limit: 1 scope: 9 }", "concurrency[0].scope"),
    ("concurrency { limit: 1 hold: 9 }", "concurrency[0].hold"),
    ("concurrency { limit: 1 key: 'async.id' }", "concurrency[0].key"),
    ("concurrency { limit: 1 } concurrency { limit: 2 scope: CONCURRENCY_SCOPE_FUNCTION }", "concurrency[1]"),
    ("concurrency { limit: 1 } " * 3, "concurrency"),
    ("debounce { }", "debounce.period"),
    ("debounce { period { seconds: 604801 } }", "debounce.period"),
    ("debounce { period { seconds: 1 } timeout { } }", "debounce.timeout"),
    ("priority { }", "priority.run"),
    ("priority { run: 'event.' }", "priority.run"),
    ("rate_limit { limit: 1001 period { seconds: 1 } }", "rate_limit.limit"),
    ("rate_limit { limit: 1 period { seconds: 86401 } }", "rate_limit.period"),
    ("rate_limit { period { seconds: 1 } }", "rate_limit.limit"),
    ("singleton { mode: 9 }", "singleton.mode"),
    ("singleton { key: 'size(' }", "singleton.key"),
    ("throttle { limit: 1 period { seconds: 1 } burst: 2 }", "throttle.burst"),
    ("throttle { limit: 0 period { seconds: 1 } }", "throttle.limit"),
    ("throttle { limit: 1 period { nanos: 999999000 } }", "throttle.period"),
    ("timeouts { start { } }", "timeouts.start"),
    ("timeouts { finish { seconds: 31622401 } }", "timeouts.finish"),
    ("idempotency { }", "idempotency.key"),
]


@pytest.mark.parametrize(("text", "field"), ONE_PAST)
def test_what_is_wrong_is_refused_with_its_field(text: str, field: str) -> None:
    """One past a bound, an expression that does not compile, two that exclude each other."""
    found: dict[str, Any] = problems(text)

    assert list(dict.fromkeys(found)) == [field]
