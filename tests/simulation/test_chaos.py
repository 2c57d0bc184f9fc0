"""Commands that make no sense, many to a turn, in any order: no turn breaks, and no turn leaves behind what can't be.

`CHAOS=200 pytest tests/simulation` does more of it; `SEED=…` begins with that one.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from controlplane.core.definition import (
    Batch,
    CancelOn,
    Concurrency,
    CronTrigger,
    Debounce,
    Definition,
    EventTrigger,
    FunctionState,
    Options,
    RateLimit,
    RetryPolicy,
    Scope,
    Singleton,
    Throttle,
    Timeouts,
)
from controlplane.core.limits import MINUTE, SECOND, Limits
from controlplane.core.records import (
    Failure,
    JournalRow,
    Lease,
    NewEvent,
    Report,
    ReportKind,
    RunRow,
    TimerKind,
    TimerRow,
)
from controlplane.core.report import STEP_KINDS
from controlplane.core.requests import (
    InvokeRequest,
    Request,
    SignalRequest,
    SignalWaitRequest,
    WaitedEvent,
    WaitRequest,
)
from controlplane.core.states import ENDED, RunState, StepKind, StepState
from controlplane.engine.commands import (
    CancelRun,
    CancelRuns,
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
    ReplayRuns,
    ReportOnce,
    SendEvents,
    SendSignal,
    SetFunctionState,
    SubmitReports,
    TriggerFunction,
)
from controlplane.engine.lanes import Lanes
from controlplane.engine.loading import event_keys
from controlplane.engine.sessions import instance_of
from controlplane.engine.settings import Settings
from controlplane.store.interface import RunFilter, Store
from controlplane.store.sqlite.open import SqliteStore
from tests.transcripts.driver import Driver, Stream, lanes_of

ROUNDS = int(os.environ.get("CHAOS", "8"))
SEED = int(os.environ.get("SEED", "1"))
TURNS = 100
SETTINGS = Settings(limits=Limits(run_steps_max=6), session_timeout=20 * SECOND)
EVENTS = ("a", "b", "c")
FUNCTIONS = ("f", "g", "h")
SIGNALS = ("s1", "s2")
_MET = (StepKind.WAIT_FOR_EVENT, StepKind.INVOKE, StepKind.WAIT_FOR_SIGNAL)
_WAITING = (StepKind.SLEEP, *_MET)
STEPS = ("x#0", "y#0", "z#0", "x#1")

T = TypeVar("T")


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_nothing_impossible_is_ever_stored(seed: int) -> None:
    """After every turn, whatever was asked for, the rows and the memory fit together."""
    store = SqliteStore.open(":memory:")
    try:
        chaos = _Chaos(store, seed)
        for _ in range(TURNS):
            chaos.happen()
            chaos.check()
    finally:
        store.close()


class _Chaos:
    """Asks for anything, of things that are there and of things that never were."""

    def __init__(self, store: Store, seed: int) -> None:
        self._rng = random.Random(seed)
        self._store = store
        self._driver = Driver(store, seed=seed, settings=SETTINGS)
        self._epochs: dict[str, int] = {}
        self._ended: dict[str, RunRow] = {}
        self._waiting: dict[str, int] = {}
        self._runs: list[RunRow] = []
        self._driver.take(*(self._register(function_id) for function_id in FUNCTIONS))

    def happen(self) -> None:
        """One turn, and now and then something worse."""
        rng, driver = self._rng, self._driver
        driver.now += rng.choice((1, 1, SECOND, SECOND, 10 * SECOND, MINUTE)) if rng.random() < 0.3 else 0
        commands = [self._command() for _ in range(rng.randrange(1, 8))]
        chance = rng.random()
        if chance < 0.05:
            driver.crash(*commands)
        elif chance < 0.15:
            driver.roll_back(*commands)
            driver.take(*commands)
        else:
            driver.take(*commands)

    def check(self) -> None:
        """What has to be true after every turn."""
        with self._store.read() as reader:
            views = reader.list_runs(RunFilter("default"), before_id="", limit=100_000)
        ids = [view.run.id for view in views]
        with self._store.begin() as tx:
            self._runs = [tx.runs([id_])[id_] for id_ in ids]
            journals = tx.journals(ids)
            timers = set(tx.timers_due(1 << 62, 1 << 30))
            sessions = {row.id: row for row in tx.sessions()}
            ready = tx.lanes_ready()
            rebuilt = Lanes.rebuild(tx)
            waits = tx.find_waits([("default", *shape[1:], value) for shape in tx.wait_shapes() for value in ("", "1")])
        memory = self._driver.memory
        assert sessions == {session.row.id: session.row for session in self._driver.sessions()}
        assert set(ready) <= lanes_of(memory.lanes), "queued runs that nobody would find"
        started = [run for run in self._runs if run.extra is None or not run.extra.replay_of]
        pairs = [(key, run.function_key) for run in started for key in event_keys(run)]
        assert {1} >= set(Counter(pairs).values()), "an event started a function twice"
        assert memory.lanes._used == rebuilt._used, "places are counted wrong"
        assert memory.lanes._held == rebuilt._held
        self._check_limits()
        live = {run.id for run in self._runs if run.state not in ENDED}
        assert {row.run_id for row in waits} <= live, "a wait of a run that has ended"
        streams = [instance_of(session.row) for session in self._driver.sessions() if session.outbox is not None]
        assert len(set(streams)) == len(streams), "two streams of one worker"
        for session in self._driver.sessions():
            assert 0 <= session.invocations_sent <= session.invocation_limit, "more was sent than there was room for"
        for run, view in zip(self._runs, views, strict=True):
            assert view.run._replace(output=run.output) == run, "what is remembered is not what is stored"
            self._check_run(run, journals.get(run.id, []), timers, set(sessions))

    def _check_limits(self) -> None:
        """No more runs have a place than there may be by the limits that they began under, however often those change."""
        for slot, used in self._driver.memory.lanes._used.items():
            assert used <= 3, f"{used} runs have the place {slot}"

    def _check_run(self, run: RunRow, journal: list[JournalRow], timers: set[TimerRow], sessions: set[str]) -> None:
        assert run.epoch >= self._epochs.get(run.id, 0), "an epoch fell"
        self._epochs[run.id] = run.epoch
        assert self._ended.get(run.id, run) == run, "a run changed that had ended"
        waited_until = self._waiting.pop(run.id, 0)
        if run.state is RunState.WAITING:
            self._waiting[run.id] = run.due_at or 0
        elif run.state is not RunState.CANCELLED and not any(entry.kind in _MET for entry in journal):
            assert waited_until <= self._driver.now, "woken before its time"
        assert (run.state is RunState.RUNNING) == (run.session_id in sessions) == (run.session_id is not None)
        assert (run.state is RunState.WAITING) == (run.due_at is not None)
        assert (run.state in ENDED) == (run.ended_at is not None)
        assert len({entry.step_key for entry in journal}) == len(journal) == run.step_count
        assert run.journal_bytes == sum(len(entry.output or b"") for entry in journal)
        mine = {timer for timer in timers if timer.subject == run.id and timer.kind is not TimerKind.EVENT}
        if run.state in ENDED:
            self._ended[run.id] = run
            assert set() == mine, "a timer of a run that has ended"
            return
        for entry in journal:
            is_blocked = entry.due_at is not None and entry.ended_at is None
            assert is_blocked == (TimerRow(entry.due_at or 0, TimerKind.STEP, run.id, entry.step_key) in mine)
            assert entry.state is not StepState.PENDING or (entry.kind in _WAITING and is_blocked)
        if run.state is RunState.WAITING:
            assert any(timer.due_at == run.due_at for timer in mine), "nobody will wake it"

    # What is asked for.

    def _command(self) -> Command:
        makers: dict[Callable[[], Command], int] = {
            self._send: 4,
            self._trigger: 1,
            self._cancel: 2,
            self._connect: 3,
            self._credit: 20,
            self._report: 50,
            self._heartbeat: 12,
            self._release: 3,
            self._leave: 2,
            self._register_again: 1,
            self._time: 12,
            self._steer: 4,
        }
        return self._rng.choices(list(makers), list(makers.values()))[0]()

    def _one(self, things: list[T], none: T) -> T:
        return self._rng.choice(things) if things and self._rng.random() < 0.97 else none

    def _session(self) -> str:
        return self._one([session.row.id for session in self._driver.sessions()], "nobody")

    def _lease(self) -> Lease:
        leased = [run for run in self._runs if run.state is RunState.RUNNING] or self._runs
        run = self._one(leased if self._rng.random() < 0.8 else self._runs, RunRow("none", "default", 1, 1, 0, "", ""))
        return Lease(run.id, run.epoch + self._rng.choices((0, -1, 1), (20, 2, 1))[0])

    def _leases(self, session_id: str) -> tuple[Lease, ...]:
        """Mostly what the session has, as far as is known here, and some that it may not have."""
        mine = [Lease(run.id, run.epoch) for run in self._runs if run.session_id == session_id]
        return tuple(
            [lease for lease in mine if self._rng.random() < 0.8]
            + [self._lease() for _ in range(self._rng.choice((0, 0, 1, 2)))]
        )

    def _events(self) -> tuple[NewEvent, ...]:
        rng = self._rng
        return tuple(
            NewEvent(
                rng.choice(("", "", f"id-{rng.randrange(30)}")),
                rng.choice(EVENTS),
                b"{}",
                "",
                self._driver.now + rng.choice((0, SECOND, MINUTE)) if rng.random() < 0.2 else None,
                "",
                "",
            )
            for _ in range(rng.randrange(1, 4))
        )

    def _send(self) -> Command:
        return SendEvents(namespace="default", events=self._events(), size=1)

    def _trigger(self) -> Command:
        return TriggerFunction(
            namespace="default", app_id="", function_id=self._rng.choice((*FUNCTIONS, "none")), event=self._events()[0]
        )

    def _cancel(self) -> Command:
        return CancelRun(namespace="default", run_id=self._lease().run_id, reason="")

    def _connect(self) -> Command:
        return Connect(
            namespace="default",
            app_id="app",
            function_ids=tuple(self._rng.sample(FUNCTIONS, self._rng.randrange(1, 4))),
            instance_id=self._rng.choice(("w1", "w2", "w3")),
            sdk="",
            language="",
            held=self._leases(self._session()),
            outbox=Stream(),
            **self._rng.choice(({}, {"poll_wait": SECOND, "invocation_limit": 2})),
        )

    def _credit(self) -> Command:
        session = self._driver.memory.sessions.get(session_id := self._session())
        sent = session.invocations_sent if session is not None else 0
        return GrantCredit(session_id=session_id, invocation_limit=sent + self._rng.randrange(4))

    def _heartbeat(self) -> Command:
        # One that has no stream can send none.
        streams = [session.row.id for session in self._driver.sessions() if session.outbox is not None]
        session_id = self._one(streams, "nobody")
        return Heartbeat(session_id=session_id, held=self._leases(session_id))

    def _release(self) -> Command:
        return Release(session_id=self._session(), leases=(self._lease(),))

    def _leave(self) -> Command:
        return self._rng.choice((Disconnect, Disconnect, Drain))(session_id=self._session())

    def _time(self) -> Command:
        return self._rng.choice((FireTimers(limit=self._rng.choice((1, 3, 100))), ExpireSessions()))

    def _register(self, function_id: str) -> Command:
        triggers: dict[str, tuple[EventTrigger | CronTrigger, ...]] = {
            "f": (EventTrigger("a"), EventTrigger("*", "event.name == 'b'")),
            "g": (EventTrigger("b"), CronTrigger("* * * * *")),
            "h": (EventTrigger("*"),),
        }
        retry = RetryPolicy(self._rng.randrange(3), (SECOND, MINUTE), SECOND)
        definition = Definition(
            "app", function_id, function_id, triggers[function_id], retry, self._options(function_id)
        )
        return RegisterFunction(namespace="default", definition=definition)

    def _register_again(self) -> Command:
        return self._register(self._rng.choice(FUNCTIONS))

    def _steer(self) -> Command:
        rng, run_id = self._rng, self._lease().run_id
        states = [FunctionState.ACTIVE] * 4 + list(FunctionState)
        makers: tuple[Callable[[], Command], ...] = (
            lambda: SendSignal(namespace="default", signal=rng.choice(SIGNALS), data=b"1", encoding=""),
            lambda: ReleaseRun(namespace="default", run_id=run_id),
            lambda: ReplayRun(namespace="default", run_id=run_id, step_key=rng.choice(("", *STEPS))),
            lambda: ReplayRuns(namespace="default", run_ids=(run_id, self._lease().run_id)),
            lambda: CancelRuns(namespace="default", run_ids=(run_id, self._lease().run_id), reason=""),
            lambda: SetFunctionState(
                namespace="default", app_id="app", function_id=rng.choice(FUNCTIONS), state=rng.choice(states)
            ),
        )
        return rng.choice(makers)()

    def _options(self, function_id: str) -> Options:
        """Some flow control, or none; limits that may not be passed are always the same."""
        rng = self._rng
        if function_id == "h":
            return Options(concurrency=(Concurrency(2, "event.name"), Concurrency(3, "", Scope.APP, holds_run=True)))
        key = rng.choice(("", "event.name", "event.data.k"))
        some: tuple[dict[str, Any], ...] = (
            {},
            {"batch": Batch(2, 2 * SECOND, key)},
            {"debounce": Debounce(SECOND, key, rng.choice((None, 3 * SECOND)))},
            {"rate_limit": RateLimit(2, 10 * SECOND, key)},
            {"singleton": Singleton(key, rng.random() < 0.5)},
            {"idempotency": "event.name"},
            {"throttle": Throttle(2, 2 * SECOND, 1, key)},
            {"cancel": (CancelOn("a"),), "timeouts": Timeouts(10 * SECOND, MINUTE), "priority": "5"},
        )
        return Options(**rng.choice(some))

    def _report(self) -> Command:
        reports = tuple(self._one_report() for _ in range(self._rng.randrange(1, 4)))
        if self._rng.random() < 0.3:
            return ReportOnce(namespace="default", reports=reports, held=self._leases(self._session()), size=1)
        return SubmitReports(session_id=self._session(), namespace="default", reports=reports, size=1)

    def _one_report(self) -> Report:
        rng, lease = self._rng, self._lease()
        weights = {ReportKind.RUN_COMPLETED: 1, ReportKind.RUN_FAILED: 1}
        kind = rng.choices(list(ReportKind), [weights.get(kind, 4) for kind in ReportKind])[0]
        return Report(
            kind,
            lease.run_id,
            lease.epoch,
            rng.choice(STEPS) if kind in STEP_KINDS else "",
            output=b"1" * rng.randrange(9) if kind is ReportKind.STEP_COMPLETED else b"",
            failure=Failure("E", "chance"),
            attempt=rng.randrange(1, 4),
            retry_never=rng.random() < 0.1,
            retry_after=rng.choice((None, SECOND)),
            sleep_for=rng.choice((0, SECOND, MINUTE)),
            events=self._events() if kind is ReportKind.EVENTS_SENT else (),
            request=self._request(kind),
            blocked_by=tuple(self._blocked(lease.run_id)) if kind is ReportKind.RUN_PARKED else (),
        )

    def _request(self, kind: ReportKind) -> Request | None:
        rng = self._rng
        timeout = rng.choice((0, SECOND, MINUTE))
        match kind:
            case ReportKind.WAIT_STARTED:
                waited = tuple(
                    WaitedEvent(
                        rng.choice((*EVENTS, "*", "steplane/function.finished")), rng.choice(("", "", "data.k"))
                    )
                    for _ in range(rng.randrange(1, 4))
                )
                since = rng.choice((None, None, self._driver.now - MINUTE))
                return WaitRequest(waited, rng.random() < 0.3, timeout, since, since_run=rng.random() < 0.2)
            case ReportKind.INVOKE_STARTED:
                return InvokeRequest("", rng.choice((*FUNCTIONS, "none")), b'{"k":1}', "", timeout)
            case ReportKind.SIGNAL_WAIT_STARTED:
                return SignalWaitRequest(rng.choice(SIGNALS), timeout, rng.random() < 0.5)
            case ReportKind.SIGNAL_SENT:
                return SignalRequest(rng.choice(SIGNALS), b'"signal"', "")
            case _:
                return None

    def _blocked(self, run_id: str) -> list[str]:
        """Mostly steps that are recorded."""
        with self._store.read() as reader:
            journal = [entry for _, entry in reader.list_journal(run_id, after=0, limit=10, bytes_max=1 << 20)]
        blocked = [entry.step_key for entry in journal if entry.due_at is not None]
        return blocked if blocked and self._rng.random() < 0.8 else self._rng.sample(STEPS, self._rng.randrange(1, 4))
