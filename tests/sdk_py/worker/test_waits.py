"""Steps that the server does: waits, invocations, signals. What is asked for, and what comes back of each answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest
from google.protobuf import text_format

from steplane import Context, ContextSync, Event, Retry, StepError, Steplane, TriggerEvent, WaitedEvent
from steplane.gen.steplane.v1 import run_pb2, work_pb2
from tests.sdk_py.conftest import Running
from tests.sdk_py.peer import Peer, entry, retrying

Start: TypeAlias = Callable[..., Running]
Step: TypeAlias = Callable[[Any], Any]

WAIT = run_pb2.STEP_KIND_WAIT_FOR_EVENT
INVOKE = run_pb2.STEP_KIND_INVOKE
SIGNAL = run_pb2.STEP_KIND_WAIT_FOR_SIGNAL
SENT = run_pb2.STEP_KIND_SEND_SIGNAL
PAID = b'{"id":"e9","name":"app/paid","data":{"sum":3},"ts":1500}'
OTHER = Steplane(app_id="billing").create_function(fn_id="charge", trigger=TriggerEvent(event="b"))(print)


def waits(ctx: Context | ContextSync, **options: Any) -> Any:
    """A wait for an event."""
    return ctx.step.wait_for_event("s", **{"event": "app/paid", **options})


def invokes(ctx: Context | ContextSync, **options: Any) -> Any:
    """An invocation."""
    return ctx.step.invoke("s", **{"function": "charge", **options})


def listens(ctx: Context | ContextSync, **options: Any) -> Any:
    """A wait for a signal."""
    return ctx.step.wait_for_signal("s", **{"signal": "approve/1", **options})


def signals(ctx: Context | ContextSync, **options: Any) -> Any:
    """A signal."""
    return ctx.step.send_signal("s", **{"signal": "approve/1", **options})


def function_of(step: Callable[..., Any], *, is_async: bool = True, **options: Any) -> Callable[..., Any]:
    """A function of one step that returns what the step does, or the error."""

    async def on_loop(ctx: Context) -> Any:
        try:
            return plain(await step(ctx, **options))
        except StepError as error:
            return told(error)

    def in_thread(ctx: ContextSync) -> Any:
        try:
            return plain(step(ctx, **options))
        except StepError as error:
            return told(error)

    return on_loop if is_async else in_thread


def plain(value: Any) -> Any:
    """Events as JSON."""
    if isinstance(value, list) and all(isinstance(each, Event) for each in value):
        return [plain(each) for each in value]
    return [value.id, value.name, value.data, value.ts] if isinstance(value, Event) else value


def told(error: StepError) -> list[str]:
    """All that an error says."""
    return [error.name, error.message, error.stack, error.step_id, error.reason]


def state(kind: run_pb2.StepKind, state: str, **fields: Any) -> run_pb2.JournalEntry:
    """The step as it is recorded."""
    return entry("s#0", kind, run_pb2.StepState.Value(f"STEP_STATE_{state}"), **fields)


@pytest.mark.parametrize(
    ("step", "options", "expected"),
    [
        (waits, {}, 'wait_started { events { event: "app/paid" } }'),
        (
            waits,
            {"match": "data.user", "timeout": 1500},
            'wait_started { events { event: "app/paid" match: "data.user" } timeout { seconds: 1 nanos: 500000000 } }',
        ),
        (
            waits,
            {"if_exp": "async.data.ok", "timeout": timedelta(days=366), "since": "run"},
            (
                'wait_started { events { event: "app/paid" expression: "async.data.ok" } timeout { seconds: 31622400 }'
                " since_run: true }"
            ),
        ),
        (
            waits,
            {"event": ["a", WaitedEvent(event="b/*", match="data.x")], "since": datetime(1970, 1, 2, tzinfo=UTC)},
            'wait_started { events { event: "a" } events { event: "b/*" match: "data.x" } since { seconds: 86400 } }',
        ),
        (
            waits,
            {"event": ("a", "b"), "match": "data.x", "all_of": True, "timeout": 0},
            (
                'wait_started { events { event: "a" match: "data.x" } events { event: "b" match: "data.x" } all_of: true'
                " timeout { } }"
            ),
        ),
        (
            waits,
            {"event": WaitedEvent(event="a", if_exp="async.data.ok")},
            'wait_started { events { event: "a" expression: "async.data.ok" } }',
        ),
        (waits, {"event": [str(n) for n in range(10)]}, None),
        (invokes, {}, 'invoke_started { function_id: "charge" data { data: "{}" } }'),
        (
            invokes,
            {"function": "billing/charge", "data": {"sum": 3}, "timeout": 1000},
            (
                'invoke_started { app_id: "billing" function_id: "charge" data { data: "{\\"sum\\":3}" }'
                " timeout { seconds: 1 } }"
            ),
        ),
        (
            invokes,
            {"function": OTHER},
            'invoke_started { app_id: "billing" function_id: "charge" data { data: "{}" } }',
        ),
        (listens, {}, 'signal_wait_started { signal: "approve/1" on_conflict: SIGNAL_CONFLICT_FAIL }'),
        (
            listens,
            {"timeout": 1000, "on_conflict": "replace"},
            'signal_wait_started { signal: "approve/1" on_conflict: SIGNAL_CONFLICT_REPLACE timeout { seconds: 1 } }',
        ),
        (signals, {}, 'signal_sent { signal: "approve/1" data { data: "null" } }'),
        (signals, {"data": [1]}, 'signal_sent { signal: "approve/1" data { data: "[1]" } }'),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_step_says_what_is_asked_for(
    start: Start, peer: Peer, step: Step, options: dict[str, Any], expected: str | None, *, is_async: bool
) -> None:
    """All that can be written of each step arrives, from both kinds of function; what is not written is left out."""
    start(function_of(step, is_async=is_async, **options))
    stream = peer.accept().welcome(event_bytes_max=100)
    stream.invoke()
    report = stream.take_report()
    assert (report.run_id, report.epoch, report.step_key) == ("r1", 1, "s#0")
    assert report.start_time.seconds > 1_700_000_000
    report.ClearField("start_time")
    if expected is not None:
        head = f'run_id: "r1" epoch: 1 step_key: "s#0" {expected}'
        assert report == text_format.Parse(head, work_pb2.Report())


FAILURE = {"name": "ValueError", "message": "boom", "stack": "a stack", "reason": "CANCELLED"}
ANSWERS = [
    (waits, {}, WAIT, PAID, b'["e9","app/paid",{"sum":3},1500]'),
    (waits, {"all_of": True}, WAIT, b"[" + PAID + b"]", b'[["e9","app/paid",{"sum":3},1500]]'),
    (waits, {}, WAIT, b"null", b"null"),
    (waits, {"all_of": True}, WAIT, b"null", b"null"),
    (invokes, {}, INVOKE, b'{"paid":true}', b'{"paid":true}'),
    (invokes, {}, INVOKE, b"", b"null"),
    (listens, {}, SIGNAL, b"[1]", b"[1]"),
    (listens, {}, SIGNAL, b"null", b"null"),
]


@pytest.mark.parametrize(("step", "options", "kind", "output", "result"), ANSWERS)
@pytest.mark.parametrize("is_async", [True, False])
def test_a_blocked_step_parks_and_comes_back_with_its_output(
    start: Start,
    peer: Peer,
    *,
    step: Step,
    options: dict[str, Any],
    kind: run_pb2.StepKind,
    output: bytes,
    result: bytes,
    is_async: bool,
) -> None:
    """Nothing is parked before the ack, since the server may refuse or have ended it; later the journal has the output."""
    start(function_of(step, is_async=is_async, **options))
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), entry=state(kind, "PENDING"))
    assert list(stream.take_report().run_parked.blocked_by) == ["s#0"]
    stream.invoke(epoch=2, journal=[state(kind, "PENDING")])
    assert list(stream.take_report().run_parked.blocked_by) == ["s#0"]
    stream.invoke(epoch=3, journal=[state(kind, "COMPLETED", output=output)])
    assert stream.take_report().run_completed.output.data == result


@pytest.mark.parametrize(("step", "options", "kind", "output", "result"), ANSWERS)
def test_a_step_that_is_met_at_once_goes_on(
    start: Start,
    peer: Peer,
    *,
    step: Step,
    options: dict[str, Any],
    kind: run_pb2.StepKind,
    output: bytes,
    result: bytes,
) -> None:
    """An ack may say already what came of it: an event of the past, say."""
    start(function_of(step, **options))
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), entry=state(kind, "COMPLETED", output=output))
    assert stream.take_report().run_completed.output.data == result


@pytest.mark.parametrize("is_async", [True, False])
def test_a_wait_that_is_met_while_a_sibling_runs_goes_on_here(start: Start, peer: Peer, *, is_async: bool) -> None:
    """Its resolution comes to the live invocation, which has not parked."""

    async def on_loop(ctx: Context) -> Any:
        return await ctx.group.parallel((lambda: waits(ctx), lambda: ctx.step.run("work", lambda: 1)))

    def in_thread(ctx: ContextSync) -> Any:
        return ctx.group.parallel((lambda: waits(ctx), lambda: ctx.step.run("work", lambda: 1)))

    def value(found: Any) -> Any:
        return [found[0].id, found[1]]

    async def shown(ctx: Context) -> Any:
        return value(await on_loop(ctx))

    start(shown if is_async else lambda ctx: value(in_thread(ctx)))
    stream = peer.accept().welcome()
    stream.invoke()
    reports = {report.step_key: report for report in stream.take_reports(2)}
    stream.ack(reports["s#0"], entry=state(WAIT, "PENDING"))
    stream.resolve(state(WAIT, "COMPLETED", output=PAID))
    stream.ack(reports["work#0"])
    assert stream.take_report().run_completed.output.data == b'["e9",1]'


@pytest.mark.parametrize(("step", "kind"), [(waits, WAIT), (invokes, INVOKE), (listens, SIGNAL), (signals, SENT)])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_step_that_fails_says_all_of_why(
    start: Start, peer: Peer, step: Step, kind: run_pb2.StepKind, *, is_async: bool
) -> None:
    """The failure's name, message and stack are the error's, and the server's reason tells what kind it is."""
    start(function_of(step, is_async=is_async))
    failed = state(kind, "FAILED")
    for name, value in FAILURE.items():
        setattr(failed.failure, name, value)
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), entry=failed)
    assert stream.take_report().run_completed.output.data == b'["ValueError","boom","a stack","s","CANCELLED"]'
    stream.invoke("r2", journal=[failed])
    assert stream.take_report().run_completed.output.data == b'["ValueError","boom","a stack","s","CANCELLED"]'


def test_what_nobody_caught_fails_the_run_in_the_words_of_what_was_invoked(start: Start, peer: Peer) -> None:
    """Name, message and stack; but no reason: it is this run's code that failed now."""

    async def function(ctx: Context) -> None:
        await invokes(ctx)

    start(function)
    failed = state(INVOKE, "FAILED")
    for name, value in FAILURE.items():
        setattr(failed.failure, name, value)
    stream = peer.accept().welcome()
    stream.invoke(journal=[failed])
    report = stream.take_report().run_failed
    assert (report.retry.never, report.failure.step_key, report.failure.reason) == (True, "s#0", "")
    assert (report.failure.name, report.failure.message, report.failure.stack) == ("ValueError", "boom", "a stack")


@pytest.mark.parametrize("is_async", [True, False])
def test_a_signal_that_was_sent_tells_who_got_it(start: Start, peer: Peer, *, is_async: bool) -> None:
    """Its output is the id of that run."""
    start(function_of(signals, is_async=is_async))
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), entry=state(SENT, "COMPLETED", output=b'"r9"'))
    assert stream.take_report().run_completed.output.data == b'"r9"'


@pytest.mark.parametrize("step", [waits, invokes, listens, signals])
def test_what_the_server_refuses_is_not_tried_again(start: Start, peer: Peer, step: Step) -> None:
    """An expression that does not compile, for example: the run fails at once, and says why."""
    start(function_of(step))
    stream = peer.accept().welcome()
    stream.invoke()
    stream.ack(stream.take_report(), work_pb2.ACK_STATUS_REJECTED, message="if_exp does not compile")
    report = stream.take_report().run_failed
    assert (report.retry.never, report.failure.name) == (True, "RejectedError")
    assert report.failure.message == "the server refused step 's#0': if_exp does not compile"


@pytest.mark.parametrize("is_async", [True, False])
def test_a_step_may_have_a_policy_of_its_own(start: Start, peer: Peer, *, is_async: bool) -> None:
    """It goes with each failed try."""

    def fail() -> None:
        raise ValueError("boom")

    retry = Retry(attempts=3, first_delay=1000)

    async def on_loop(ctx: Context) -> None:
        await ctx.step.run("own", fail, retry=retry)

    def in_thread(ctx: ContextSync) -> None:
        ctx.step.run("own", fail, retry=retry)

    start(on_loop if is_async else in_thread)
    stream = peer.accept().welcome()
    stream.invoke()
    first = stream.take_report()
    policy = first.step_failed.policy
    assert (policy.retries, [delay.seconds for delay in policy.delays], policy.HasField("jitter")) == (2, [1, 2], True)
    stream.ack(first, entry=retrying("own#0", 1, due=False))
    second = stream.take_report().step_failed
    assert (second.attempt, second.policy) == (2, policy)


def test_code_that_does_another_kind_of_step_is_told_both(start: Start, peer: Peer) -> None:
    """Each of the steps has a name that users know."""
    start(function_of(invokes))
    stream = peer.accept().welcome()
    for kind, spelling in ((WAIT, "wait_for_event"), (SIGNAL, "wait_for_signal"), (SENT, "send_signal")):
        stream.invoke(f"r{kind}", journal=[state(kind, "PENDING")])
        message = stream.take_report().run_failed.failure.message
        assert f"expected: step.{spelling}('s'" in message
        assert "found:    step.invoke('s'" in message
