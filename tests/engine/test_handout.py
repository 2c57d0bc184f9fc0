"""How much one turn hands out, to whom, and that the next one goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from controlplane.core.definition import Definition, EventTrigger, RetryPolicy
from controlplane.core.records import NewEvent, Report, ReportKind
from controlplane.engine import handout
from controlplane.engine.commands import Connect, GrantCredit, RegisterFunction, SendEvents, SubmitReports
from controlplane.engine.turn import Turn
from controlplane.store.sqlite.open import SqliteStore
from tests.transcripts.driver import Driver, Stream

FUNCTIONS = ("f", "g", "h")


@pytest.fixture
def driver() -> Iterator[Driver]:
    """A server with three functions, each started by the event of its name."""
    store = SqliteStore.open(":memory:")
    driver = Driver(store)
    for name in FUNCTIONS:
        definition = Definition("app", name, name, (EventTrigger(name),), RetryPolicy(0, (1,), 0))
        driver.take(RegisterFunction(namespace="default", definition=definition))
    yield driver
    store.close()


def send(driver: Driver, name: str, count: int) -> None:
    """Queue some runs."""
    events = tuple(NewEvent("", name, b"{}", "", None, "", "") for _ in range(count))
    driver.take(SendEvents(namespace="default", events=events, size=1))


def connect(driver: Driver, *, serves: tuple[str, ...] = FUNCTIONS) -> str:
    """A worker's session."""
    hello = Connect(
        namespace="default",
        app_id="app",
        function_ids=serves,
        instance_id="-".join(serves),
        sdk="",
        language="",
        held=(),
        outbox=Stream(),
    )
    return str(driver.take(hello)[0].answers[0].session_id)


def grant(driver: Driver, session_id: str, limit: int) -> list[Turn]:
    """Give slots; the turns that followed."""
    return driver.take(GrantCredit(session_id=session_id, invocation_limit=limit))


def given(turns: list[Turn]) -> list[str]:
    """The functions of what was handed out."""
    return [i.function_id for turn in turns for delivery in turn.deliveries.values() for i in delivery.invocations]


def test_one_turn_hands_out_so_much_and_the_next_goes_on(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many free slots are filled in several turns at once, not in one that is too large."""
    monkeypatch.setattr(handout, "_CLAIM_MAX", 2)
    send(driver, "f", 5)
    turns = grant(driver, connect(driver), 100)

    assert [len(given([turn])) for turn in turns] == [2, 2, 1]


def test_large_journals_are_read_in_parts(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journals of one turn are bounded; one that is larger than that goes out by itself."""
    session_id = connect(driver)
    send(driver, "f", 4)
    (turn,) = grant(driver, session_id, 4)
    runs = [invocation.run for invocation in turn.deliveries[session_id].invocations]
    sizes = (60, 30, 60, 200)
    reports = tuple(
        report
        for run, size in zip(runs, sizes, strict=True)
        for report in (
            Report(ReportKind.STEP_COMPLETED, run.id, run.epoch, "load#0", output=b"1" * size, attempt=1),
            Report(ReportKind.SLEEP_STARTED, run.id, run.epoch, "nap#0", sleep_for=1),
            Report(ReportKind.RUN_PARKED, run.id, run.epoch, blocked_by=("nap#0",)),
        )
    )
    driver.take(SubmitReports(session_id=session_id, namespace="default", reports=reports, size=1))
    driver.now += 1
    driver.pass_time()
    monkeypatch.setattr(handout, "_JOURNAL_BYTES_MAX", 100)
    turns = grant(driver, session_id, 8)

    handed_out = [
        [i.run.journal_bytes for delivery in turn.deliveries.values() for i in delivery.invocations] for turn in turns
    ]
    assert sorted(sizes) == sorted(size for part in handed_out for size in part)
    assert all(sum(part) <= 100 or len(part) == 1 for part in handed_out)


def test_slots_are_shared_equally(driver: Driver) -> None:
    """However long their queues are."""
    send(driver, "f", 50)
    send(driver, "g", 20)
    send(driver, "h", 3)

    assert Counter(f=5, g=4, h=3) == Counter(given(grant(driver, connect(driver), 12)))


def test_nobody_starves_where_slots_become_free_one_by_one(driver: Driver) -> None:
    """The function that was given least is next."""
    send(driver, "f", 50)
    send(driver, "g", 50)
    session_id = connect(driver)
    order = [name for limit in range(1, 11) for name in given(grant(driver, session_id, limit))]

    assert order == ["f", "g"] * 5


def test_a_function_that_nobody_serves_keeps_its_queue(driver: Driver) -> None:
    """It takes no share, and is handed out once somebody serves it."""
    send(driver, "f", 2)
    send(driver, "g", 4)
    session_id = connect(driver, serves=("g",))

    assert given(grant(driver, session_id, 4)) == ["g"] * 4
    assert given(grant(driver, connect(driver, serves=("f",)), 2)) == ["f"] * 2
    assert given(grant(driver, session_id, 99)) == []
