"""A small world around the real engine and the real store: a clock, workers, and a network that loses and repeats.

Everything that happens is drawn from one seed, in one thread, so a history that breaks a promise can be had again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.definition import Definition, EventTrigger, RetryPolicy
from controlplane.core.limits import MINUTE, SECOND, Limits
from controlplane.core.records import (
    Ack,
    AckStatus,
    Failure,
    Invocation,
    JournalRow,
    Lease,
    NewEvent,
    Report,
    ReportKind,
)
from controlplane.core.report import STEP_KINDS
from controlplane.core.states import StepState
from controlplane.engine.commands import (
    CancelRun,
    Connect,
    Disconnect,
    ExpireSessions,
    FireTimers,
    GrantCredit,
    Heartbeat,
    RegisterFunction,
    SendEvents,
    SubmitReports,
)
from controlplane.engine.outbox import Delivery
from controlplane.engine.settings import Settings
from controlplane.engine.turn import Memory
from controlplane.errors import SteplaneError
from controlplane.store.interface import RunFilter, Store
from tests.transcripts.driver import Driver

CHILDREN = 2
#: How much of what the server says is lost.
LOSS = 0.05
SETTINGS = Settings(limits=Limits(deliveries_max=1_000), session_timeout=30 * SECOND, session_grace=5 * SECOND)
RETRY = RetryPolicy(retries=3, delays=(SECOND,), jitter=SECOND)
#: What the functions do, in order; `parent` is started by app/a, `child` by app/b.
SCRIPTS = {"parent": ("run", "send", "sleep", "run", "end"), "child": ("run", "end")}


@dataclass
class Held:
    """An invocation, as far as its worker has got."""

    invocation: Invocation
    journal: dict[str, JournalRow]
    awaited: Report | None = None
    """A report whose ack has not come; it is sent again and again."""


@dataclass
class SimWorker:
    """One worker process: what it holds outlives its streams."""

    name: str
    rng: random.Random
    session_id: str = ""
    held: dict[Lease, Held] = field(default_factory=dict)
    received: int = 0

    def deliver(self, delivery: Delivery) -> None:
        """Take what a committed turn has for it, unless the network loses that."""
        if delivery.closed:
            self.session_id = ""
        elif self.rng.random() < LOSS:
            return
        for update in delivery.updates:
            held = self.held.get(Lease(update.run_id, update.epoch))
            if isinstance(update, Ack):
                self.acked(update)
            elif held is not None:
                held.journal[update.entry.step_key] = update.entry
        for cancellation in delivery.cancellations:
            self.held.pop(Lease(cancellation.run_id, cancellation.epoch), None)
        for lease in delivery.heartbeat_stop or ():
            self.held.pop(lease, None)
        for invocation in delivery.invocations:
            self.received += 1
            lease = Lease(invocation.run.id, invocation.run.epoch)
            self.held[lease] = Held(invocation, {entry.step_key: entry for entry in invocation.journal})

    def acked(self, ack: Any) -> None:
        """Take the answer to a report."""
        lease = Lease(ack.run_id, ack.epoch)
        held = self.held.get(lease)
        if held is None or held.awaited is None:
            return
        assert ack.status is not AckStatus.REJECTED, ack
        if ack.status in (AckStatus.STALE_EPOCH, AckStatus.RUN_ENDED):
            del self.held[lease]
        elif ack.step_key != held.awaited.step_key:
            return  # of an earlier copy
        elif not ack.step_key:
            del self.held[lease]
        else:
            report, held.awaited = held.awaited, None
            held.journal[ack.step_key] = ack.entry or JournalRow(
                ack.run_id, ack.step_key, report_kind(report), StepState.COMPLETED
            )


def report_kind(report: Report) -> Any:
    """The kind of step that a completed step's report is of."""
    return STEP_KINDS[report.kind]


class World:
    """The engine and all around it."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.now = 1_800_000_000 * SECOND
        self._driver = Driver(store, seed=seed, settings=SETTINGS)
        self.workers = [SimWorker("w1", self.rng), SimWorker("w2", self.rng)]
        self.accepted: set[str] = set()
        self.cancelled: set[str] = set()
        self._sent = 0
        for name, event in (("parent", "app/a"), ("child", "app/b")):
            definition = Definition("app", name, name, (EventTrigger(event),), RETRY)
            self.turn(RegisterFunction(namespace="default", definition=definition))

    def turn(self, *commands: Any, fails: bool = False) -> list[Any]:
        """One turn; one that fails is rolled back, and nobody hears of it."""
        self._driver.now = self.now
        if fails:
            self._driver.roll_back(*commands)
            return []
        return self._driver.take(*commands)[0].answers

    def restart(self) -> None:
        """Kill the server, and start it again: memory is rebuilt from the store."""
        self._driver.now = self.now
        self._driver.restart()
        for worker in self.workers:
            worker.session_id = ""

    @property
    def memory(self) -> Memory:
        """What the engine keeps in memory."""
        return self._driver.memory

    # What can happen.

    def send(self) -> None:
        """A producer sends an event, twice at times, and repeats what it does not hear of."""
        self._sent += 1
        id_ = f"e{self._sent}"
        event = NewEvent(id_, "app/a", b"{}", "", None, "", "")
        command = SendEvents(namespace="default", events=(event,), size=1)
        self.turn(*[command] * self.rng.choice((1, 1, 2)), fails=self.chance(0.1))
        self.turn(command)
        self.accepted.add(id_)

    def connect(self, worker: SimWorker) -> None:
        """A worker opens a stream, with all that it still holds."""
        connect = Connect(
            namespace="default",
            app_id="app",
            function_ids=tuple(SCRIPTS),
            instance_id=worker.name,
            sdk="",
            language="",
            held=tuple(worker.held),
            outbox=worker,
        )
        (welcomed,) = self.turn(connect)
        assert not isinstance(welcomed, SteplaneError)
        worker.session_id, worker.received = welcomed.session_id, 0
        worker.held = {lease: held for lease, held in worker.held.items() if lease in welcomed.resumed}
        self.grant(worker)

    def grant(self, worker: SimWorker) -> None:
        """Three slots a worker."""
        limit = worker.received + max(0, 3 - len(worker.held))
        self.turn(GrantCredit(session_id=worker.session_id, invocation_limit=limit))

    def work(self, worker: SimWorker) -> None:
        """The worker does the next step of something it holds, or sends its report again; the network may lose it."""
        if not worker.held:
            self.grant(worker)
            return
        held = self.rng.choice(list(worker.held.values()))
        if held.awaited is None:
            held.awaited = self.next_report(held)
        if self.chance(0.15):
            return  # lost on the way
        reports = (held.awaited,) * self.rng.choice((1, 1, 1, 2))
        command = SubmitReports(session_id=worker.session_id, namespace="default", reports=reports, size=1)
        self.turn(command, fails=self.chance(0.05))

    def heartbeat(self, worker: SimWorker) -> None:
        """A sign of life."""
        self.turn(Heartbeat(session_id=worker.session_id, held=tuple(worker.held)))
        self.grant(worker)

    def break_stream(self, worker: SimWorker) -> None:
        """The stream ends; at times the process with it."""
        self.turn(Disconnect(session_id=worker.session_id))
        worker.session_id = ""
        if self.chance(0.5):
            worker.held.clear()

    def cancel(self) -> None:
        """An operator cancels some run."""
        with self.store.read() as reader:
            views = reader.list_runs(RunFilter("default"), before_id="", limit=50)
        live = [view.run.id for view in views if view.run.ended_at is None]
        if live:
            run_id = self.rng.choice(live)
            (answer,) = self.turn(CancelRun(namespace="default", run_id=run_id, reason="chance"))
            assert answer is None
            self.cancelled.add(run_id)

    def pass_time(self, duration: int) -> None:
        """The clock goes on, and what is due is done."""
        self.now += duration
        while self.turn(FireTimers(limit=3))[0] == 3:
            pass
        self.turn(ExpireSessions())

    def chance(self, probability: float) -> bool:
        """Whether something happens."""
        return self.rng.random() < probability

    # What a function does.

    def next_report(self, held: Held) -> Report:
        """What a function reports next, by what is known of its steps."""
        run = held.invocation.run
        for index, what in enumerate(SCRIPTS[held.invocation.function_id]):
            key = f"s{index}#0"
            entry = held.journal.get(key)
            if what == "end":
                if self.chance(0.1):
                    return Report(ReportKind.RUN_FAILED, run.id, run.epoch, failure=Failure("E", "chance"))
                return Report(ReportKind.RUN_COMPLETED, run.id, run.epoch, output=b"1")
            if entry is None or (entry.state is StepState.RETRYING and entry.due_at is None):
                return self._step(run, key, what, entry)
            if entry.state in (StepState.PENDING, StepState.RETRYING):
                return Report(ReportKind.RUN_PARKED, run.id, run.epoch, blocked_by=(key,))
            if entry.state is StepState.FAILED:
                never = Failure("StepError", "chance", "", key)
                return Report(ReportKind.RUN_FAILED, run.id, run.epoch, failure=never, retry_never=True)
        raise AssertionError("a script has an end")

    def _step(self, run: Any, key: str, what: str, entry: JournalRow | None) -> Report:
        with self.store.read() as reader:
            recorded = {
                row.step_key: row for _, row in reader.list_journal(run.id, after=0, limit=100, bytes_max=10**6)
            }
            view = reader.get_run("default", run.id)
        stored = recorded.get(key)
        # Who has the run's newest lease knows all that is recorded; who has lost it may not know that yet.
        if view is not None and view.run.epoch == run.epoch:
            assert stored is None or stored.state is not StepState.COMPLETED, f"{run.id} {key} is executed again"
        attempt = entry.attempts + 1 if entry is not None else 1
        if what == "send":
            events = tuple(NewEvent("", "app/b", b"{}", "", None, "", "") for _ in range(CHILDREN))
            return Report(ReportKind.EVENTS_SENT, run.id, run.epoch, key, events=events)
        if what == "sleep":
            return Report(ReportKind.SLEEP_STARTED, run.id, run.epoch, key, sleep_for=self.rng.randrange(2 * MINUTE))
        if self.chance(0.2):
            return Report(
                ReportKind.STEP_FAILED, run.id, run.epoch, key, failure=Failure("E", "chance"), attempt=attempt
            )
        return Report(ReportKind.STEP_COMPLETED, run.id, run.epoch, key, output=b"1", attempt=attempt)
