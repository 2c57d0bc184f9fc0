"""What a turn did → lines: its answers, what it changed in the store, and what went out after the commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from controlplane.core.definition import FunctionRow
from controlplane.core.records import (
    Ack,
    AckStatus,
    Cancellation,
    EventRow,
    Invocation,
    JournalRow,
    Lease,
    RunRow,
    TimerRow,
)
from controlplane.core.states import RunState, StepKind, StepState
from controlplane.engine.commands import (
    Command,
    Connect,
    Registered,
    RegisterFunction,
    Reported,
    SentEvents,
    Triggered,
    Welcomed,
)
from controlplane.engine.outbox import Delivery
from controlplane.engine.turn import Turn
from controlplane.errors import SteplaneError
from controlplane.store.interface import Swept
from tests.transcripts.names import Names, told_moment


class Teller:
    """Tells turns, and remembers what it told of each run, to tell changes only."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._told: dict[str, str] = {}

    def tell(self, commands: Sequence[Command], turn: Turn) -> Iterator[str]:
        """The lines of a turn."""
        for command, answer in zip(commands, turn.answers, strict=True):
            yield from self._answer(command, answer)
        for event in turn.d.new_events:
            yield self._event(event, turn.now)
        for entry in [*turn.d.new_entries.values(), *turn.d.changed_entries.values()]:
            yield f"step {self._run_name(entry.run_id)} {self.entry(entry)}"
        for run in _runs(turn):
            told = self.run(run, turn.functions.by_key)
            if told != self._told.get(run.id):
                self._told[run.id] = told
                yield told

    def deliveries(self, session_id: str, deliveries: list[Delivery]) -> Iterator[str]:
        """What a stream was given."""
        who = self._names.short("s", session_id)
        for delivery in deliveries:
            yield from (f"{who} <- {line}" for line in self._delivery(delivery))

    def run(self, run: RunRow, functions: dict[int, FunctionRow]) -> str:
        """A run as it stands."""
        words = [
            "run",
            self._run_name(run.id),
            functions[run.function_key].definition.function_id,
            f"{run.state.name}@{run.epoch}",
        ]
        if run.session_id is not None:
            words.append(f"by {self._names.short('s', run.session_id)}")
        if run.attempt:
            words.append(f"failures={run.attempt}")
        if run.due_at is not None:
            words.append(f"until {told_moment(run.due_at)}")
        if run.state is RunState.COMPLETED:
            words.append(_text(run.output))
        if run.failure is not None:
            words.append(self._named(f"({run.failure.name}: {run.failure.message})"))
        return " ".join(words)

    def entry(self, entry: JournalRow) -> str:
        """A step as it is recorded."""
        words = [entry.step_key, entry.state.name]
        if entry.kind is StepKind.RUN and (entry.attempts > 1 or entry.state is not StepState.COMPLETED):
            words.append(f"tries={entry.attempts}")
        if entry.due_at is not None:
            words.append(f"until {told_moment(entry.due_at)}")
        if entry.output is not None:
            words.append(self._named(_text(entry.output)))
        if entry.failure is not None:
            words.append(self._named(f"({entry.failure.name}: {entry.failure.message})"))
        if entry.event_ids:
            words.append("sent " + " ".join(self._names.short("e", id_) for id_ in entry.event_ids))
        return " ".join(words)

    def timer(self, timer: TimerRow) -> str:
        """A timer as it is stored."""
        return f"timer {timer.kind.name} {self._names.short('r', timer.subject)} {timer.detail} {told_moment(timer.due_at)}"

    def _run_name(self, run_id: str) -> str:
        return self._names.short("r", run_id)

    def _event(self, event: EventRow, now: int) -> str:
        words = ["event", self._names.short("e", event.id), event.name]
        if event.data != b"{}":
            words.append(self._named(_text(event.data)))
        if event.source_run_id is not None:
            words.append(f"from {self._run_name(event.source_run_id)} {event.source_step_key or ''}".rstrip())
        if event.ts != now:
            words.append(f"of {told_moment(event.ts)}")
        return " ".join(words)

    def _answer(self, command: Command, answer: Any) -> Iterator[str]:  # noqa: C901 one flat case a kind
        short = self._names.short
        match answer:
            case SteplaneError():
                yield f"refused: {answer.reason}: {self._named(str(answer))}"
            case SentEvents(ids, duplicates):
                yield (
                    "sent "
                    + " ".join(short("e", id_) for id_ in ids)
                    + (f" ({duplicates} known before)" if duplicates else "")
                )
            case Triggered(event_id, run_id):
                yield f"triggered {short('e', event_id)}, run {short('r', run_id) if run_id else 'none: it is known before'}"
            case Registered(version, warnings):
                assert isinstance(command, RegisterFunction)
                yield f"registered {command.definition.function_id} version {version}"
                yield from (f"warning: {warning}" for warning in warnings)
            case Welcomed(session_id, resumed):
                assert isinstance(command, Connect)
                yield f"session {short('s', session_id)} of {command.instance_id}" + self._leases(" resumes", resumed)
            case Reported(acks, stop, cancellations):
                yield from (f"ack {self._ack(ack)}" for ack in acks)
                if not acks or stop:
                    yield "renewed" + self._leases(" but stop", stop)
                yield from (f"cancellation {self._cancellation(told)}" for told in cancellations)
            case Swept(runs, events, _, _):
                yield f"swept {runs} runs, {events} events"
            case int():
                yield f"{answer} {type(command).__name__}"
            case str():
                yield f"{type(command).__name__} {short('r', answer)}"
            case _:
                assert answer is None, answer

    def _delivery(self, delivery: Delivery) -> Iterator[str]:
        for update in delivery.updates:
            if isinstance(update, Ack):
                yield f"ack {self._ack(update)}"
            else:
                yield f"resolution {self._lease(update.run_id, update.epoch)} {self.entry(update.entry)}"
        for told in delivery.cancellations:
            yield f"cancellation {self._cancellation(told)}"
        if delivery.heartbeat_stop is not None:
            yield "heartbeat ack" + self._leases(" stop", delivery.heartbeat_stop)
        for invocation in delivery.invocations:
            yield f"invocation {self._invocation(invocation)}"
        if delivery.drained is not None:
            yield f"drained after {delivery.drained} invocations"
        if delivery.closed:
            yield f"closed: {delivery.closed}"

    def _cancellation(self, told: Cancellation) -> str:
        return f"{self._lease(told.run_id, told.epoch)} ({self._named(told.reason)})"

    def _ack(self, ack: Ack) -> str:
        words = [self._lease(ack.run_id, ack.epoch)]
        if ack.step_key:
            words.append(ack.step_key)
        words.append(ack.status.name)
        if ack.status is AckStatus.REJECTED:
            words.append(f"{ack.reason}: {self._named(ack.message)}")
        if ack.entry is not None:
            words.append(f"[{self.entry(ack.entry)}]")
        return " ".join(words)

    def _invocation(self, invocation: Invocation) -> str:
        run = invocation.run
        events = " ".join(self._names.short("e", event.id) for event in invocation.events)
        journal = ", ".join(self.entry(entry) for entry in invocation.journal)
        failures = f" failures={run.attempt}" if run.attempt else ""
        return f"{self._lease(run.id, run.epoch)} {invocation.function_id} of {events}{failures} [{journal}]"

    def _lease(self, run_id: str, epoch: int) -> str:
        return f"{self._run_name(run_id)}@{epoch}"

    def _leases(self, word: str, leases: Sequence[Lease]) -> str:
        return f"{word} {' '.join(self._lease(*lease) for lease in leases)}" if leases else ""

    def _named(self, text: str) -> str:
        for long, short in self._names.pairs():
            text = text.replace(long, short)
        return text


def _runs(turn: Turn) -> list[RunRow]:
    """All runs that the turn made or changed, as they stand in the end."""
    runs = dict(turn.d.new_runs)
    runs.update((id_, turn.d.runs[id_]) for id_ in sorted(turn.d.changed_runs))
    for delivery in turn.deliveries.values():
        runs.update((invocation.run.id, invocation.run) for invocation in delivery.invocations)
    return list(runs.values())


def _text(data: bytes | None) -> str:
    return (data or b"").decode()
