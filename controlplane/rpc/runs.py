"""RunService: shows and steers runs. Reads ask the store in threads; what changes something asks the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final, TypeAlias, TypeVar

import grpc
from typing_extensions import override

from controlplane.core.limits import LINEAGE_DEFAULT, LINEAGE_MAX, MIB, REASON_BYTES_MAX, Limits
from controlplane.engine.commands import CancelRun
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.errors import FieldViolation, NotFound
from controlplane.gen.steplane.v1 import run_pb2, run_pb2_grpc
from controlplane.rpc import validate
from controlplane.rpc.lineage import build_lineage
from controlplane.rpc.pages import bad_token, next_token, read_page
from controlplane.rpc.run_filter import run_filter
from controlplane.rpc.translate import event_record, journal_messages, run_message
from controlplane.rpc.watch import watch_run
from controlplane.store.interface import Reader, RunView, Store

_PAGE_BYTES_MAX: Final = MIB
_KEY_MAX: Final = 2**63 - 1
_Answer = TypeVar("_Answer")
_OneRun: TypeAlias = (
    run_pb2.GetRunRequest | run_pb2.ListJournalRequest | run_pb2.CancelRunRequest | run_pb2.WatchRunRequest
)
_Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class RunService(run_pb2_grpc.RunServiceServicer):
    """Shows and steers runs."""

    def __init__(self, *, store: Store, readers: Executor, mailbox: Mailbox, hub: RunHub, limits: Limits) -> None:
        self._store = store
        self._readers = readers
        self._mailbox = mailbox
        self._hub = hub
        self._limits = limits

    @override
    async def GetRun(self, request: run_pb2.GetRunRequest, context: _Context) -> run_pb2.GetRunResponse:
        view = await self._get(*_run_name(request))
        return run_pb2.GetRunResponse(run=run_message(view))

    @override
    async def ListRuns(self, request: run_pb2.ListRunsRequest, context: _Context) -> run_pb2.ListRunsResponse:
        page = read_page(request)
        filter_ = run_filter(request)

        def read(reader: Reader) -> run_pb2.ListRunsResponse:
            views = reader.list_runs(filter_, before_id=page.cursor, limit=page.size + 1)
            answer = run_pb2.ListRunsResponse()
            size = 0
            for view in views[: page.size]:
                run = run_message(view)
                answer.runs.append(run)
                size += run.ByteSize()
                if size >= _PAGE_BYTES_MAX:
                    break
            if len(answer.runs) < len(views):
                answer.next_page_token = next_token(request, answer.runs[-1].id)
            return answer

        return await self._ask(read)

    @override
    async def ListJournal(self, request: run_pb2.ListJournalRequest, context: _Context) -> run_pb2.ListJournalResponse:
        page = read_page(request)
        namespace, run_id = _run_name(request)
        after = _number(page.cursor)

        def read(reader: Reader) -> run_pb2.ListJournalResponse:
            run = _get(reader, namespace, run_id).run
            rows = reader.list_journal(run_id, after=after, limit=page.size + 1, bytes_max=_PAGE_BYTES_MAX)
            entries = journal_messages(run, (row for _, row in rows[: page.size]))
            answer = run_pb2.ListJournalResponse(entries=entries)
            if len(rows) > page.size or _is_full(len(row.output or b"") for _, row in rows):
                answer.next_page_token = next_token(request, str(rows[: page.size][-1][0]))
            return answer

        return await self._ask(read)

    @override
    async def ListEvents(self, request: run_pb2.ListEventsRequest, context: _Context) -> run_pb2.ListEventsResponse:
        page = read_page(request)
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        validate.refuse(found)
        before = _number(page.cursor)

        def read(reader: Reader) -> run_pb2.ListEventsResponse:
            rows = reader.list_events(
                namespace,
                name=request.name,
                id_=request.id,
                before_key=before,
                limit=page.size + 1,
                bytes_max=_PAGE_BYTES_MAX,
            )
            answer = run_pb2.ListEventsResponse(events=[event_record(row) for row in rows[: page.size]])
            if len(rows) > page.size or _is_full(len(row.data) for row in rows):
                answer.next_page_token = next_token(request, str(rows[: page.size][-1].key))
            return answer

        return await self._ask(read)

    @override
    async def GetLineage(self, request: run_pb2.GetLineageRequest, context: _Context) -> run_pb2.GetLineageResponse:
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        if not request.event_id:
            found.append(FieldViolation("event_id", "is required"))
        if request.run_limit < 0:
            found.append(FieldViolation("run_limit", "must not be negative"))
        validate.refuse(found)
        run_limit = min(request.run_limit or LINEAGE_DEFAULT, LINEAGE_MAX)

        def read(reader: Reader) -> run_pb2.GetLineageResponse:
            root = reader.find_event(namespace, request.event_id)
            if root is None:
                raise NotFound(kind="event", name=request.event_id)
            return build_lineage(reader, root, run_limit=run_limit, bytes_max=self._limits.frame_bytes_max)

        return await self._ask(read)

    @override
    async def CancelRun(self, request: run_pb2.CancelRunRequest, context: _Context) -> run_pb2.CancelRunResponse:
        namespace, run_id = _run_name(request)
        size = len(request.reason.encode())
        if size > REASON_BYTES_MAX:
            problem = f"has {size} bytes; {REASON_BYTES_MAX} are the most"
            validate.refuse([FieldViolation("reason", problem)])
        await self._mailbox.submit(CancelRun(namespace=namespace, run_id=run_id, reason=request.reason))
        return run_pb2.CancelRunResponse(run=run_message(await self._get(namespace, run_id)))

    @override
    async def WatchRun(
        self, request: run_pb2.WatchRunRequest, context: _Context
    ) -> AsyncIterator[run_pb2.WatchRunResponse]:
        namespace, run_id = _run_name(request)
        async with aclosing(watch_run(self._hub, run_id, lambda: self._get(namespace, run_id))) as views:
            async for view in views:
                yield run_pb2.WatchRunResponse(run=run_message(view))

    async def _get(self, namespace: str, run_id: str) -> RunView:
        return await self._ask(lambda reader: _get(reader, namespace, run_id))

    async def _ask(self, question: Callable[[Reader], _Answer]) -> _Answer:
        def read() -> _Answer:
            with self._store.read() as reader:
                return question(reader)

        return await asyncio.get_running_loop().run_in_executor(self._readers, read)


def _get(reader: Reader, namespace: str, run_id: str) -> RunView:
    view = reader.get_run(namespace, run_id)
    if view is None:
        raise NotFound(kind="run", name=run_id)
    return view


def _run_name(request: _OneRun) -> tuple[str, str]:
    found: validate.Violations = []
    namespace = validate.namespace_of(request.namespace, found)
    if not request.run_id:
        found.append(FieldViolation("run_id", "is required"))
    validate.refuse(found)
    return namespace, request.run_id


def _number(cursor: str) -> int:
    """The number that a cursor stands for; 0 on the first page."""
    if not cursor:
        return 0
    if not cursor.isdecimal() or int(cursor) > _KEY_MAX:
        raise bad_token()
    return int(cursor)


def _is_full(sizes: Iterable[int]) -> bool:
    return sum(sizes) >= _PAGE_BYTES_MAX
