"""The lines of a story → commands. The README beside the stories tells the language."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from controlplane.core import definition, limits
from controlplane.core.definition import CronTrigger, Definition, EventTrigger, FunctionState, Options, RetryPolicy
from controlplane.core.limits import SECOND
from controlplane.core.records import Failure, Lease, NewEvent, Report, ReportKind
from controlplane.core.requests import (
    InvokeRequest,
    SignalRequest,
    SignalWaitRequest,
    WaitedEvent,
    WaitRequest,
)
from controlplane.engine.commands import (
    CancelRun,
    Command,
    Connect,
    Disconnect,
    Drain,
    ExpireSessions,
    FireTimers,
    GrantCredit,
    Heartbeat,
    RegisterFunction,
    Release,
    ReleaseRun,
    ReplayRun,
    ReportOnce,
    SendEvents,
    SendSignal,
    SetFunctionState,
    SubmitReports,
    Sweep,
    TriggerFunction,
)
from tests.transcripts.driver import START, Stream
from tests.transcripts.names import Names, duration, moment

#: What the option `with` of a function may name: all kinds of flow control, and units of time.
_OPTIONS = {**vars(definition), **vars(limits)}


class Line:
    """One line, taken apart: words, and options of the form `name=value`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[str] = []
        self.options: dict[str, str] = {}
        for token in shlex.split(text):
            name, is_option, value = token.partition("=")
            if is_option and name.isidentifier():
                self.options[name] = value
            else:
                self.words.append(token)
        self.verb = self.words.pop(0)

    def option(self, name: str, default: str = "") -> str:
        """An option, once."""
        return self.options.pop(name, default)

    def flag(self, word: str) -> bool:
        """Whether a word is there, once."""
        if word in self.words:
            self.words.remove(word)
            return True
        return False

    def word(self) -> str:
        """The next word."""
        return self.words.pop(0)

    def finish(self) -> None:
        """Nothing may be left: a word that is not understood must not be overlooked."""
        assert not self.words, f"{self.text!r}: what is {self.words}?"
        assert not self.options, f"{self.text!r}: what is {self.options}?"


def parse(line: Line, names: Names) -> Command:
    """The command of a line."""
    command = _VERBS[line.verb](line, names)
    line.finish()
    return command


def _register(line: Line, names: Names) -> Command:
    events = [EventTrigger(name, line.options.get("if", "")) for name in filter(None, line.option("on").split(","))]
    cron = [CronTrigger(text, line.option("zone", "UTC")) for text in filter(None, [line.option("cron")])]
    line.option("if")
    delays = tuple(duration(text) for text in line.option("delays", "10s").split(","))
    retry = RetryPolicy(int(line.option("retries", "4")), delays, duration(line.option("jitter", "0s")))
    name = line.word()
    app_id = line.option("app", "shop")
    options: Options = eval(f"Options({line.option('with')})", _OPTIONS)
    return RegisterFunction(
        namespace=line.option("namespace", "default"),
        definition=Definition(app_id, name, name, (*events, *cron), retry, options),
    )


def _events(line: Line, names: str) -> tuple[NewEvent, ...]:
    ids = line.option("id").split(",")
    data = line.option("data", "{}").encode()
    ts = line.option("ts")
    return tuple(
        NewEvent(ids[index] if index < len(ids) else "", name, data, "", moment(ts) if ts else None, "", "")
        for index, name in enumerate(names.split(","))
    )


def _send(line: Line, names: Names) -> Command:
    return SendEvents(namespace=line.option("namespace", "default"), events=_events(line, line.word()), size=1)


def _trigger(line: Line, names: Names) -> Command:
    return TriggerFunction(
        namespace=line.option("namespace", "default"),
        app_id=line.option("app"),
        function_id=line.word(),
        event=_events(line, "")[0],
    )


def _waiting(line: Line) -> dict[str, Any]:
    waited = []
    for text in line.word().split(","):
        event, _, path = text.partition("/by:")
        waited.append(WaitedEvent(event, path, line.options.get("if", "")))
    line.option("if")
    since = line.option("since")
    request = WaitRequest(
        tuple(waited),
        line.flag("all"),
        duration(line.option("for", "1h")),
        moment(since) if since and since != "run" else None,
        since == "run",
    )
    return {"kind": ReportKind.WAIT_STARTED, "request": request}


def _invoking(line: Line) -> dict[str, Any]:
    app_id, _, function_id = line.word().rpartition("/")
    data, timeout = line.option("data", "{}").encode(), duration(line.option("for", "1h"))
    return {
        "kind": ReportKind.INVOKE_STARTED,
        "request": InvokeRequest(app_id, function_id, data, "", timeout),
    }


def _awaiting_signal(line: Line) -> dict[str, Any]:
    request = SignalWaitRequest(line.word(), duration(line.option("for", "1h")), line.flag("replacing"))
    return {"kind": ReportKind.SIGNAL_WAIT_STARTED, "request": request}


def _signalling(line: Line) -> dict[str, Any]:
    request = SignalRequest(line.word(), line.option("data", "null").encode(), "")
    return {"kind": ReportKind.SIGNAL_SENT, "request": request}


def _signal(line: Line, names: Names) -> Command:
    return SendSignal(namespace="default", signal=line.word(), data=line.option("data", "null").encode(), encoding="")


def _replay(line: Line, names: Names) -> Command:
    run_id, step, output = names.long(line.word()), line.option("step"), line.option("output")
    return ReplayRun(
        namespace="default",
        run_id=run_id,
        step_key=f"{step}#0" if step else "",
        output=output.encode() if output else None,
    )


def _set(state: FunctionState, line: Line) -> Command:
    return SetFunctionState(namespace="default", app_id="", function_id=line.word(), state=state)


def _cancel(line: Line, names: Names) -> Command:
    return CancelRun(
        namespace=line.option("namespace", "default"),
        run_id=names.long(line.word()),
        reason=line.option("reason"),
    )


def _connect(line: Line, names: Names, **more: Any) -> Command:
    return Connect(
        namespace=line.option("namespace", "default"),
        app_id=line.option("app", "shop"),
        instance_id=line.word(),
        function_ids=tuple(filter(None, line.option("serves").split(","))),
        sdk="steplane-test/1",
        language="story/1",
        held=_leases(line.option("held"), names),
        outbox=Stream(),
        **more,
    )


def _poll(line: Line, names: Names) -> Command:
    wait, most = duration(line.option("wait", "0s")), int(line.option("max", "1"))
    return _connect(line, names, poll_wait=wait, invocation_limit=most)


def _leases(text: str, names: Names) -> tuple[Lease, ...]:
    return tuple(_lease(part, names) for part in filter(None, text.split(",")))


def _lease(text: str, names: Names) -> Lease:
    run, _, epoch = text.partition("@")
    return Lease(names.long(run), int(epoch))


def _credit(line: Line, names: Names) -> Command:
    return GrantCredit(session_id=names.long(line.word()), invocation_limit=int(line.word()))


def _heartbeat(line: Line, names: Names) -> Command:
    return Heartbeat(session_id=names.long(line.word()), held=_leases(line.option("held"), names))


def _release(line: Line, names: Names) -> Command:
    return Release(session_id=names.long(line.word()), leases=_leases(line.word(), names))


def _report(line: Line, names: Names) -> Command:
    session_id = names.long(line.word())
    report = _what_happened(line, names)
    return SubmitReports(
        session_id=session_id, namespace=line.option("namespace", "default"), reports=(report,), size=1
    )


def _call(line: Line, names: Names) -> Command:
    reports = (_what_happened(line, names),) if line.words else ()
    held = _leases(line.option("held"), names)
    return ReportOnce(namespace=line.option("namespace", "default"), reports=reports, held=held, size=1)


def _what_happened(line: Line, names: Names) -> Report:
    lease = _lease(line.word(), names)
    step = "" if line.words[0] in _OUTCOMES else line.word()
    step_key = step if "#" in step or not step else f"{step}#0"
    made = _REPORTS[line.word()](line)
    return Report(**{"started_at": START, **made, "run_id": lease.run_id, "epoch": lease.epoch, "step_key": step_key})


def _failing(kind: ReportKind, line: Line) -> dict[str, Any]:
    after = line.option("after")
    return {
        "kind": kind,
        "failure": Failure("ValueError", line.word()),
        "attempt": int(line.option("try", "1")) if kind is ReportKind.STEP_FAILED else 0,
        "retry_never": line.flag("never"),
        "retry_after": duration(after) if after else None,
    }


def _sleeping(line: Line) -> dict[str, Any]:
    until = line.option("until")
    return {
        "kind": ReportKind.SLEEP_STARTED,
        "sleep_until": moment(until) if until else None,
        "sleep_for": None if until else duration(line.word()),
    }


def _sending(line: Line) -> dict[str, Any]:
    return {"kind": ReportKind.EVENTS_SENT, "events": _events(line, line.word())}


_OUTCOMES = ("returns", "raises", "parks")
_REPORTS: dict[str, Callable[[Line], dict[str, Any]]] = {
    "gives": lambda line: {
        "kind": ReportKind.STEP_COMPLETED,
        "attempt": int(line.option("try", "1")),
        "output": line.word().encode(),
    },
    "fails": lambda line: _failing(ReportKind.STEP_FAILED, line),
    "sleeps": _sleeping,
    "sends": _sending,
    "waits": _waiting,
    "invokes": _invoking,
    "awaits": _awaiting_signal,
    "signals": _signalling,
    "returns": lambda line: {"kind": ReportKind.RUN_COMPLETED, "output": line.word().encode()},
    "raises": lambda line: _failing(ReportKind.RUN_FAILED, line),
    "parks": lambda line: {
        "kind": ReportKind.RUN_PARKED,
        "blocked_by": tuple(f"{step}#0" for step in line.option("on").split(",")),
    },
}
_VERBS: dict[str, Callable[[Line, Names], Command]] = {
    "register": _register,
    "send": _send,
    "trigger": _trigger,
    "cancel": _cancel,
    "connect": _connect,
    "credit": _credit,
    "report": _report,
    "poll": _poll,
    "call": _call,
    "heartbeat": _heartbeat,
    "release": _release,
    "drain": lambda line, names: Drain(session_id=names.long(line.word())),
    "disconnect": lambda line, names: Disconnect(session_id=names.long(line.word())),
    "signal": _signal,
    "replay": _replay,
    "let_go": lambda line, names: ReleaseRun(namespace="default", run_id=names.long(line.word())),
    "pause": lambda line, names: _set(FunctionState.PAUSED, line),
    "resume": lambda line, names: _set(FunctionState.ACTIVE, line),
    "disable": lambda line, names: _set(FunctionState.DISABLED, line),
    "delete": lambda line, names: _set(FunctionState.DELETED, line),
    "fire": lambda line, names: FireTimers(limit=int(line.option("limit", "1000"))),
    "expire": lambda line, names: ExpireSessions(),
    "sweep": lambda line, names: Sweep(before=moment(line.word()), limit=100, run_cursor="", event_cursor=0),
}


def settings_of(line: Line) -> tuple[dict[str, int], dict[str, int]]:
    """What a `settings` line changes: limits, and durations."""
    limits = {name: int(line.option(name)) for name in list(line.options) if name.endswith("_max")}
    durations = {name: duration(line.option(name)) for name in list(line.options)}
    line.finish()
    assert all(value <= 366 * 24 * 3600 * SECOND for value in durations.values())
    return limits, durations
