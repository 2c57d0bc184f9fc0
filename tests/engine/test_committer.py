"""Drain, begin, turn, commit, release: in this order, whatever goes wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from controlplane.core.records import AckStatus, Failure, Report, ReportKind
from controlplane.engine.commands import SubmitReports, Sweep
from controlplane.errors import SteplaneError, StoreError
from tests.engine.conftest import Engine, Start, events


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
    broken = Sweep(before=0, limit="many", run_cursor="", event_cursor=0)  # type: ignore[arg-type]  # the bug
    async with start() as engine:
        with capture_logs():
            answers = await asyncio.gather(
                *(engine.mailbox.submit(command) for command in (events("e1"), broken, events("e2"))),
                return_exceptions=True,
            )
        with engine.store.read() as reader:
            stored = [reader.find_event("default", id_) is not None for id_ in ("e1", "e2")]

    assert [getattr(answer, "ids", None) for answer in answers] == [["e1"], None, ["e2"]]
    assert isinstance(answers[1], Exception)
    assert not isinstance(answers[1], SteplaneError)
    assert stored == [True, True]


class Broken:
    """A store that fails when it is told to; all else is the real one's."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.is_broken = False

    def begin(self) -> Any:
        """A transaction, or the failure of a disk."""
        if self.is_broken:
            raise StoreError("the disk is full")
        return self._store.begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_a_store_that_fails_is_fatal(start: Start, tmp_path: Any) -> None:
    """Nothing is acknowledged any more, and the thread ends with the error."""
    from controlplane.store.sqlite.open import SqliteStore

    store = Broken(SqliteStore.open(tmp_path / "steplane.db"))
    async with start(store=store) as engine:
        await engine.ask(events("e1"))
        store.is_broken = True
        with capture_logs(), pytest.raises(StoreError):
            await engine.ask(events("e2"))
        await asyncio.wait([engine.committer.stopped])

        assert isinstance(engine.committer.stopped.exception(), StoreError)


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
            acks = (await inbox.next()).acks

    assert [ack.status for ack in acks] == [AckStatus.COMMITTED]
    (line,) = [line for line in lines if line["event"] == "run_failed"]
    assert (line["run_id"], line["event_id"], line["function_id"]) == (run.id, "e1", "app/f")
    assert line["error"] == "ValueError"
    assert "secret" not in str(lines)


async def _report(engine: Engine, session_id: str, *reports: Report) -> None:
    await engine.mailbox.post(SubmitReports(session_id=session_id, namespace="default", reports=reports, size=1))
