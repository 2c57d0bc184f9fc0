"""The engine and a naive model of what it promises agree after every step of random histories.

The model is plain lists that are walked through: no tables, no timers, no lanes. `MODEL_EXAMPLES=1000` does more of it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controlplane.core.definition import (
    Batch,
    CancelOn,
    Concurrency,
    Debounce,
    Definition,
    EventTrigger,
    Options,
    RateLimit,
    Singleton,
)
from controlplane.core.limits import DAY, SECOND
from controlplane.core.records import Invocation, Lease, NewEvent, Report, ReportKind
from controlplane.core.requests import WaitedEvent, WaitRequest
from controlplane.core.retry import DEFAULT
from controlplane.engine.commands import (
    Command,
    Connect,
    GrantCredit,
    RegisterFunction,
    SendEvents,
    SubmitReports,
)
from controlplane.engine.loading import event_keys
from controlplane.store.interface import RunFilter
from controlplane.store.sqlite.open import SqliteStore
from tests.transcripts.driver import Driver, Stream

FUNCTIONS: dict[str, tuple[str, Options]] = {
    "plain": ("a", Options()),
    "limited": ("a", Options(rate_limit=RateLimit(2, 10 * SECOND, "event.data.k"))),
    "once": ("a", Options(idempotency="event.data.k")),
    "single": ("a", Options(singleton=Singleton("event.data.k"))),
    "batched": ("a", Options(batch=Batch(3, 5 * SECOND))),
    "newest": ("a", Options(debounce=Debounce(3 * SECOND))),
    "narrow": ("a", Options(concurrency=(Concurrency(2, "event.data.k"),))),
    "stopped": ("a", Options(cancel=(CancelOn("stop", "data.k"),))),
    "waiter": ("w", Options()),
}
PATIENCE = 20 * SECOND
KEYS = st.integers(1, 3)


@dataclass
class Run:
    """A run, as the model sees it."""

    function: str
    events: tuple[str, ...]
    key: int
    state: str = "RUNNING"
    until: int = 0
    """While it waits: for how long."""


@dataclass
class Model:
    """What should be."""

    now: int
    runs: list[Run] = field(default_factory=list)
    starts: list[tuple[int, int]] = field(default_factory=list)
    """Of the limited function: when, and with which key."""
    taken: dict[int, int] = field(default_factory=dict)
    """Of the one that runs once: until when, by key."""
    batch: list[str] = field(default_factory=list)
    batch_until: int = 0
    newest: str = ""
    newest_until: int = 0

    def send(self, name: str, event_id: str, key: int) -> None:
        """An event comes."""
        match name:
            case "a":
                self._start_all(event_id, key)
            case "w":
                self.runs.append(Run("waiter", (event_id,), key, "WAITING", self.now + PATIENCE))
            case "answer":
                for run in self._live("waiter", "WAITING", key):
                    run.state = "RUNNING"
            case "stop":
                for run in self._live("stopped", "RUNNING", key):
                    run.state = "CANCELLED"

    def _start_all(self, event_id: str, key: int) -> None:
        recent = [1 for moment, its_key in self.starts if its_key == key and moment > self.now - 10 * SECOND]
        if len(recent) < 2:
            self.starts.append((self.now, key))
        is_taken = self.taken.get(key, 0) > self.now
        if not is_taken:
            self.taken[key] = self.now + DAY
        states = {
            "plain": "RUNNING",
            "stopped": "RUNNING",
            "limited": "RUNNING" if len(recent) < 2 else "SKIPPED",
            "once": "SKIPPED" if is_taken else "RUNNING",
            "single": "SKIPPED" if self._live("single", "RUNNING", key) else "RUNNING",
            "narrow": "QUEUED" if len(self._live("narrow", "RUNNING", key)) == 2 else "RUNNING",
        }
        self.runs += [Run(function, (event_id,), key, state) for function, state in states.items()]
        if not self.batch:
            self.batch_until = self.now + 5 * SECOND
        self.batch.append(event_id)
        if len(self.batch) == 3:
            self._start_batch()
        self.newest, self.newest_until = event_id, self.now + 3 * SECOND

    def pass_to(self, moment: int) -> None:
        """Time passes. Nothing that happens by itself makes anything else happen, so the order does not matter."""
        self.now = moment
        if self.batch and self.batch_until <= moment:
            self._start_batch()
        if self.newest and self.newest_until <= moment:
            self.runs.append(Run("newest", (self.newest,), 0))
            self.newest = ""
        for run in self.runs:
            if run.state == "WAITING" and run.until <= moment:
                run.state = "RUNNING"

    def finish(self, events: tuple[str, ...], function: str) -> None:
        """A running run ends."""
        (run,) = (run for run in self.runs if (run.events, run.function, run.state) == (events, function, "RUNNING"))
        run.state = "COMPLETED"
        queued = self._live("narrow", "QUEUED", run.key) if function == "narrow" else []
        if queued:
            queued[0].state = "RUNNING"

    def _start_batch(self) -> None:
        self.runs.append(Run("batched", tuple(self.batch), 0))
        self.batch = []

    def _live(self, function: str, state: str, key: int) -> list[Run]:
        return [run for run in self.runs if (run.function, run.state, run.key) == (function, state, key)]


class Histories(RuleBasedStateMachine):
    """Both, side by side."""

    @initialize()
    def begin(self) -> None:
        """A server with all functions, and a worker with room for everything."""
        self.driver = Driver(SqliteStore.open(":memory:"))
        self.model = Model(self.driver.now)
        self.live: dict[str, Invocation] = {}
        self.sent = 0
        for name, (event, options) in FUNCTIONS.items():
            definition = Definition("app", name, name, (EventTrigger(event),), DEFAULT, options)
            self.driver.take(RegisterFunction(namespace="default", definition=definition))
        self.connect()

    def connect(self) -> None:
        """The worker comes, or comes back with what it holds."""
        self.stream = Stream()
        held = tuple(Lease(each.run.id, each.run.epoch) for each in self.live.values())
        (turn,) = self.driver.take(
            Connect(
                namespace="default",
                app_id="app",
                function_ids=tuple(FUNCTIONS),
                instance_id="w",
                sdk="",
                language="",
                held=held,
                outbox=self.stream,
            )
        )
        self.session_id = turn.answers[0].session_id
        assert set(turn.answers[0].resumed) == set(held)
        self.take(GrantCredit(session_id=self.session_id, invocation_limit=100_000))

    def take(self, *commands: Command) -> None:
        """Let the server do something, and the worker what follows from it at once."""
        self.driver.take(*commands)
        self.work()

    def work(self) -> None:
        """Take what came. A waiter that begins parks on its wait."""
        while self.stream.deliveries:
            delivery = self.stream.deliveries.pop(0)
            for cancellation in delivery.cancellations:
                self.live.pop(cancellation.run_id, None)
            for invocation in delivery.invocations:
                self.live[invocation.run.id] = invocation
                if invocation.function_id == "waiter" and not invocation.journal:
                    request = WaitRequest((WaitedEvent("answer", "data.k"),), False, PATIENCE)
                    self.report(invocation, ReportKind.WAIT_STARTED, step_key="s#0", request=request)
                    self.report(invocation, ReportKind.RUN_PARKED, blocked_by=("s#0",))
                    del self.live[invocation.run.id]

    def report(self, invocation: Invocation, kind: ReportKind, **values: Any) -> None:
        """Tell something of a run."""
        report = Report(kind, invocation.run.id, invocation.run.epoch, **values)
        self.driver.take(SubmitReports(session_id=self.session_id, namespace="default", reports=(report,), size=1))

    @rule(name=st.sampled_from(["a", "a", "a", "w", "answer", "stop"]), key=KEYS, is_lost=st.booleans())
    def send(self, name: str, key: int, is_lost: bool) -> None:
        """An event comes; its first try may have been lost with the turn."""
        self.sent += 1
        event = NewEvent(f"e{self.sent}", name, json.dumps({"k": key}).encode(), "", None, "", "")
        command = SendEvents(namespace="default", events=(event,), size=1)
        if is_lost:
            self.driver.roll_back(command)
        self.take(command)
        self.model.send(name, event.id, key)

    @rule()
    def send_again(self) -> None:
        """The newest event comes once more: it counts for nothing."""
        if self.sent:
            event = NewEvent(f"e{self.sent}", "a", b'{"k":1}', "", None, "", "")
            self.take(SendEvents(namespace="default", events=(event,), size=1))

    @rule(seconds=st.integers(1, 7))
    def wait(self, seconds: int) -> None:
        """Time passes; the worker's heartbeats come meanwhile."""
        until = self.driver.now + seconds * SECOND
        while (due := self.driver.next_moment()) is not None and due <= until:
            self.driver.now = max(self.driver.now, due)
            self.driver.beat()
            self.driver.pass_time()
            self.work()
        self.driver.now = until
        self.driver.beat()
        self.model.pass_to(until)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """A run ends."""
        run_id = data.draw(st.sampled_from(sorted(self.live)))
        invocation = self.live.pop(run_id)
        self.report(invocation, ReportKind.RUN_COMPLETED, output=b"1")
        self.work()
        self.model.finish(tuple(event.id for event in invocation.events), invocation.function_id)

    @rule()
    def restart(self) -> None:
        """The server is killed, and the worker comes back to it."""
        self.driver.restart()
        self.connect()

    @invariant()
    def they_agree(self) -> None:
        """The same runs, of the same events, in the same states."""
        with self.driver.store.begin() as tx:
            ids = [row.id for row in self._all_runs()]
            runs = tx.runs(ids)
            keys = {key for run in runs.values() for key in event_keys(run)}
            events = tx.events(keys)
        functions = self.driver.memory.functions.by_key
        there = sorted(
            (
                functions[run.function_key].definition.function_id,
                tuple(events[key].id for key in event_keys(run)),
                run.state.name,
            )
            for run in runs.values()
        )
        assert there == sorted((run.function, run.events, run.state) for run in self.model.runs)

    def _all_runs(self) -> list[Any]:
        with self.driver.store.read() as reader:
            return [view.run for view in reader.list_runs(RunFilter("default"), before_id="", limit=100_000)]

    def teardown(self) -> None:
        """Close the store."""
        if hasattr(self, "driver"):
            self.driver.store.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "40")),
    stateful_step_count=40,
    deadline=None,
    derandomize="MODEL_EXAMPLES" not in os.environ,
)
