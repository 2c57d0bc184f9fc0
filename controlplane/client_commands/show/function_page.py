"""One function for people: what starts it, and its flow control in words. Pure: messages in, renderables out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from controlplane.client_commands.show.tables import triggers_text, workers_text
from controlplane.client_commands.show.times import exact_duration, micros
from controlplane.client_commands.show.words import count, defined_name, function_look, printable
from controlplane.gen.steplane.v1 import function_pb2

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from controlplane.client_commands.show.pen import Pen

_DELAYS_SHOWN: Final = 12
_SHARED_BY: Final = {
    function_pb2.CONCURRENCY_SCOPE_APP: "shared by the app",
    function_pb2.CONCURRENCY_SCOPE_NAMESPACE: "shared by the namespace",
}


def function_page(function: function_pb2.Function, pen: Pen) -> Table:
    """A function, with those of its options that are set."""
    definition = function.definition
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("function", Text(printable(defined_name(definition)), "bold"))
    if definition.name and definition.name != definition.function_id:
        grid.add_row("name", Text(printable(definition.name)))
    grid.add_row("state", pen.state(function_look(function.state)))
    grid.add_row("workers", workers_text(function))
    changed = Text.assemble(f"{function.version}, changed ", pen.moment(micros(function.update_time)))
    grid.add_row("version", changed)
    grid.add_row("triggers", triggers_text(definition))
    grid.add_row("retries", _retries(definition.retry))
    for name, words in _flow_control(definition):
        grid.add_row(name, Text(printable(words)))
    return grid


def _flow_control(definition: function_pb2.FunctionDefinition) -> Iterator[tuple[str, str]]:
    """Each option that is set, in the order in which they act."""
    set_fields = {field.name: value for field, value in definition.ListFields()}
    for field, words in _OPTIONS.items():
        found = set_fields.get(field, ())
        for option in found if isinstance(found, Sequence) else (found,):
            yield _LABELS.get(field, field), words(option)


def _retries(retry: function_pb2.RetryPolicy) -> Text:
    if not retry.retries:
        return Text("none")
    delays = [_length(delay) for delay in retry.delays[: min(retry.retries, _DELAYS_SHOWN)]]
    if not delays:
        return Text(str(retry.retries))
    more = ", and so on" if retry.retries > len(delays) else ""
    jitter = (
        f", each up to {_length(retry.jitter)} later"
        if retry.HasField("jitter") and retry.jitter.ToNanoseconds()
        else ""
    )
    return Text.assemble(str(retry.retries), (f", after {', '.join(delays)}{more}{jitter}", "dim"))


def _rate_limit(rate: function_pb2.RateLimit) -> str:
    return f"{count(rate.limit, 'start')} in any {_length(rate.period)}{_each(rate.key)}; skips the rest"


def _batch(batch: function_pb2.Batch) -> str:
    only = f"; an event starts a run of its own unless {batch.expression}" if batch.expression else ""
    return (
        f"up to {count(batch.max_size, 'event')} in a run, or those of {_length(batch.timeout)}{_each(batch.key)}{only}"
    )


def _debounce(debounce: function_pb2.Debounce) -> str:
    at_the_latest = f", at the latest after {_length(debounce.timeout)}" if debounce.HasField("timeout") else ""
    quiet = f"one run with the newest event, once quiet for {_length(debounce.period)}"
    return f"{quiet}{at_the_latest}{_each(debounce.key)}"


def _singleton(singleton: function_pb2.Singleton) -> str:
    takes_over = singleton.mode == function_pb2.SINGLETON_MODE_CANCEL
    second = "a second one cancels the first" if takes_over else "skips a second one"
    return f"one run at a time{_each(singleton.key)}; {second}"


def _idempotency(idempotency: function_pb2.Idempotency) -> str:
    return f"one run in 24 h{_each(idempotency.key)}; skips the rest"


def _throttle(throttle: function_pb2.Throttle) -> str:
    at_once = f", up to {throttle.burst:,} at once" if throttle.burst > 1 else ""
    starts = f"{count(throttle.limit, 'start')} in {_length(throttle.period)}{at_once}"
    return f"{starts}{_each(throttle.key)}; delays the rest"


def _concurrency(limit: function_pb2.ConcurrencyLimit) -> str:
    is_whole = limit.hold == function_pb2.CONCURRENCY_HOLD_RUN
    what = count(limit.limit, "run" if is_whole else "invocation")
    held = " from start to end" if is_whole else ""
    shared = _SHARED_BY.get(limit.scope)
    return f"{what} at once{held}{_each(limit.key)}{f', {shared}' if shared else ''}; the rest waits"


def _priority(priority: function_pb2.Priority) -> str:
    return f"so many seconds earlier in the queue: {priority.run}"


def _timeouts(timeouts: function_pb2.Timeouts) -> str:
    parts = []
    if timeouts.HasField("start"):
        parts.append(f"starts within {_length(timeouts.start)}")
    if timeouts.HasField("finish"):
        parts.append(f"ends within {_length(timeouts.finish)} of its start")
    return f"a run is cancelled unless it {' and '.join(parts)}"


def _cancel(cancel: function_pb2.CancelOn) -> str:
    match = f" of the same {cancel.match}" if cancel.match else ""
    only = f" if {cancel.expression}" if cancel.expression else ""
    within = f", within {_length(cancel.timeout)} of the run's making" if cancel.HasField("timeout") else ""
    return f"event {cancel.event}{match}{only}{within}"


def _each(key: str) -> str:
    return f" for each {key}" if key else ""


def _length(length: Duration) -> str:
    return exact_duration(length.seconds * 1_000_000 + length.nanos // 1000)


_LABELS: Final = {"rate_limit": "rate limit", "cancel": "cancelled by"}
_OPTIONS: Final[dict[str, Callable[[Any], str]]] = {
    "rate_limit": _rate_limit,
    "batch": _batch,
    "debounce": _debounce,
    "singleton": _singleton,
    "idempotency": _idempotency,
    "throttle": _throttle,
    "concurrency": _concurrency,
    "priority": _priority,
    "timeouts": _timeouts,
    "cancel": _cancel,
}
