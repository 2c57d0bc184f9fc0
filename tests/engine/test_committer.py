"""Drain, begin, turn, commit, release: in this order, whatever goes wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from controlplane.core.records import Ack, AckStatus, Failure, Report, ReportKind
from controlplane.engine.commands import GrantCredit, SentEvents, SubmitReports, Sweep
from controlplane.errors import SteplaneError, Stopping, StoreError
from controlplane.store.sqlite.open import SqliteStore
from tests.engine.conftest import Engine, Start, events

SWEEP = Sweep(before=0, limit=10, run_cursor="", event_cursor=0)
BROKEN = Sweep(before=0, limit="many", run_cursor="", event_cursor=0)  # type: ignore[arg-type]  # the bug


async def test_an_event_reaches_a_worker_with_one_commit(start: Start) -> None:
    """Sent, stored, matched, queued and leased in the same turn."""
    commits: list[str] = []
    async with start(failpoint=lambda name: commits.append(name) if name == "after_commit" else None) as engine:
        await engine.register()
        _, inbox = await engine.connect()
        commits.clear()
        sent = await engine.ask(events("e1"))
        delivery = await inbox.next()

    assert sent.ids == ["e1"]
    assert [invocation.events[0].id for invocation in delivery.invocations] == ["e1"]
    assert commits == ["after_commit"]


async def test_nothing_is_released_before_it_is_on_disk(start: Start) -> None:
    """While the commit is held up, the event is not in the file, and its answer is not given."""
    seen: list[tuple[str, bool, bool]] = []
    holder: dict[str, Any] = {}

    def look(name: str) -> None:
        if "answer" in holder and name in ("before_commit", "after_commit"):
            with holder["engine"].store.read() as reader:
                is_stored = reader.find_event("default", "e1") is not None
            seen.append((name, is_stored, holder["answer"].done()))

    async with start(failpoint=look) as engine:
        holder["engine"] = engine
        holder["answer"] = answer = engine.mailbox.submit(events("e1"))
        await asyncio.wait_for(answer, 10)

    assert seen[:2] == [("before_commit", False, False), ("after_commit", True, False)]


async def test_a_command_that_breaks_a_turn_fails_alone(start: Start) -> None:
    """The others of its turn get their own turns; a bug is told to its own caller."""
    async with start() as engine:
        with capture_logs():
            answers = await asyncio.gather(
                *(engine.mailbox.submit(command) for command in (events("e1"), BROKEN, events("e2"))),
                return_exceptions=True,
            )
        with engine.store.read() as reader:
            stored = [reader.find_event("default", id_) is not None for id_ in ("e1", "e2")]

    assert [getattr(answer, "ids", None) for answer in answers] == [["e1"], None, ["e2"]]
    assert isinstance(answers[1], Exception)
    assert not isinstance(answers[1], SteplaneError)
    assert stored == [True, True]


class Disk:
    """A store that fails at one point, when it is told to; all else is the real one's."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.fails_at = ""

    def begin(self) -> Any:
        """A transaction, or the failure of a disk."""
        self._fail("begin")
        return _Transaction(self._store.begin(), self._fail)

    def _fail(self, point: str) -> None:
        if point == self.fails_at:
            raise StoreError("the disk is full")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Transaction:
    """A transaction of that store."""

    def __init__(self, tx: Any, fail: Callable[[str], None]) -> None:
        self._tx = tx
        self._fail = fail

    def __enter__(self) -> Any:
        self._tx.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._tx.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        self._fail(name)
        return getattr(self._tx, name)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A disk that works so far."""
    return Disk(SqliteStore.open(tmp_path / "steplane.db"))


@pytest.mark.parametrize("point", ["begin", "insert_events", "sweep", "commit"])
async def test_a_store_that_fails_is_fatal(start: Start, disk: Disk, point: str) -> None:
    """Nothing of the turn is acknowledged or stored, whatever failed, and the thread ends with the error."""
    async with start(store=disk) as engine:
        await engine.ask(events("e1"))
        disk.fails_at = point
        with capture_logs():
            answers = await asyncio.gather(
                *(engine.mailbox.submit(command) for command in (events("e2"), SWEEP, events("e3"))),
                return_exceptions=True,
            )
            await asyncio.wait([engine.committer.stopped])

        assert [StoreError] * 3 == [type(answer) for answer in answers]
        assert isinstance(engine.committer.stopped.exception(), StoreError)
        with disk.read() as reader:
            stored = [reader.find_event("default", id_) is not None for id_ in ("e1", "e2", "e3")]
        assert stored == [True, False, False]


async def test_who_waits_when_the_store_fails_is_told(start: Start, disk: Disk) -> None:
    """What is queued behind the turn that failed is refused, and so is all that comes later."""

    behind: list[asyncio.Future[Any]] = []
    is_queued, may_go_on = asyncio.Event(), threading.Event()

    def queue_behind() -> None:
        behind.append(engine.mailbox.submit(events("e3")))
        is_queued.set()

    def hold_up(name: str) -> None:
        if name == "before_commit" and disk.fails_at:
            loop.call_soon_threadsafe(queue_behind)
            may_go_on.wait(10)

    loop = asyncio.get_running_loop()
    async with start(store=disk, failpoint=hold_up) as engine:
        await engine.ask(events("e1"))
        disk.fails_at = "commit"
        first = engine.mailbox.submit(events("e2"))
        await is_queued.wait()
        may_go_on.set()
        with capture_logs():
            answers = await asyncio.gather(first, behind[0], return_exceptions=True)
            await asyncio.wait([engine.committer.stopped])

        assert [StoreError] * 2 == [type(answer) for answer in answers]
        with pytest.raises(Stopping):
            engine.mailbox.submit(events("e4"))


async def test_a_store_that_fails_after_a_bug_is_fatal_too(start: Start, disk: Disk) -> None:
    """While a broken turn is taken apart the disk fails: the rest of that turn is told."""
    turns: list[str] = []

    def break_after_the_first(name: str) -> None:
        if name == "after_commit":
            turns.append(name)
            disk.fails_at = "begin" if len(turns) > 1 else ""

    async with start(store=disk, failpoint=break_after_the_first) as engine:
        await engine.ask(events("e1"))
        with capture_logs():
            answers = await asyncio.gather(
                *(engine.mailbox.submit(command) for command in (events("e2"), BROKEN, events("e3"), events("e4"))),
                return_exceptions=True,
            )
            await asyncio.wait([engine.committer.stopped])

    assert [SentEvents, StoreError, StoreError, StoreError] == [type(answer) for answer in answers]


async def test_nothing_of_a_turn_that_broke_is_remembered(start: Start) -> None:
    """A function that was registered in it is not known, and slots that were taken are free again."""
    async with start() as engine:
        await engine.register()
        session_id, inbox = await engine.connect(slots=1)
        with capture_logs():
            await asyncio.gather(
                *(engine.mailbox.submit(command) for command in (events("e1"), BROKEN)), return_exceptions=True
            )
        first = await inbox.next()
        await engine.ask(GrantCredit(session_id=session_id, invocation_limit=2))
        await engine.ask(events("e2"))
        second = await inbox.next()

    assert [[i.events[0].id for i in delivery.invocations] for delivery in (first, second)] == [["e1"], ["e2"]]
    assert inbox.deliveries == []


async def test_stopping_does_what_is_queued(start: Start) -> None:
    """What was taken in is answered, though the mailbox is closed."""
    async with start() as engine:
        answers = [engine.mailbox.submit(events(f"e{n}")) for n in range(50)]
        engine.mailbox.close()
        await engine.committer.stop()

        assert [(await answer).ids for answer in answers] == [[f"e{n}"] for n in range(50)]


async def test_a_restart_rebuilds_what_memory_held(start: Start) -> None:
    """Functions, and the runs that wait in their queues, are known again."""
    async with start() as engine:
        await engine.register()
        await engine.ask(events("e1", "e2"))
    async with start() as engine:
        _, inbox = await engine.connect()
        delivery = await inbox.next()

    assert [invocation.events[0].id for invocation in delivery.invocations] == ["e1", "e2"]


async def test_failed_runs_are_told_with_their_ids(start: Start) -> None:
    """One line, with run, event and function, the error's name, and nothing of its payload."""
    with capture_logs() as lines:
        async with start() as engine:
            await engine.register()
            session_id, inbox = await engine.connect()
            await engine.ask(events("e1"))
            run = (await inbox.next()).invocations[0].run
            report = Report(
                ReportKind.RUN_FAILED, run.id, run.epoch, failure=Failure("ValueError", "secret"), retry_never=True
            )
            await _report(engine, session_id, report)
            acks = [update for update in (await inbox.next()).updates if isinstance(update, Ack)]

    assert [ack.status for ack in acks] == [AckStatus.COMMITTED]
    (line,) = [line for line in lines if line["event"] == "run_failed"]
    assert (line["run_id"], line["event_id"], line["function_id"]) == (run.id, "e1", "app/f")
    assert line["error"] == "ValueError"
    assert "secret" not in str(lines)


async def _report(engine: Engine, session_id: str, *reports: Report) -> None:
    await engine.mailbox.post(SubmitReports(session_id=session_id, namespace="default", reports=reports, size=1))
