"""RunService: shows and steers runs. Reads ask the store in threads; what changes something asks the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Final, TypeAlias

import grpc
from typing_extensions import override

from controlplane.core.limits import LINEAGE_DEFAULT, LINEAGE_MAX, MIB, REASON_BYTES_MAX, Limits
from controlplane.core.states import RunState
from controlplane.engine.commands import CancelRun, CancelRuns, ReleaseRun, ReplayRun, ReplayRuns
from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox
from controlplane.errors import FieldViolation, NotFound
from controlplane.gen.steplane.v1 import run_pb2, run_pb2_grpc
from controlplane.rpc import validate
from controlplane.rpc.lineage import build_lineage
from controlplane.rpc.pages import bad_token, next_token, read_page
from controlplane.rpc.questions import Questions
from controlplane.rpc.reports import output_problem
from controlplane.rpc.run_filter import run_filter
from controlplane.rpc.selection import LIVE, Selection
from controlplane.rpc.translate import event_record, journal_messages, run_message
from controlplane.rpc.watch import watch_run
from controlplane.store.interface import Reader, RunView

_PAGE_BYTES_MAX: Final = MIB
_KEY_MAX: Final = 2**63 - 1
_REPLAYS_AT_ONCE: Final = 200
_OneRun: TypeAlias = (
    run_pb2.GetRunRequest
    | run_pb2.ListJournalRequest
    | run_pb2.CancelRunRequest
    | run_pb2.WatchRunRequest
    | run_pb2.ReplayRunRequest
    | run_pb2.ReleaseRunRequest
)
_Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class RunService(run_pb2_grpc.RunServiceServicer):
    """Shows and steers runs."""

    def __init__(
        self,
        *,
        questions: Questions,
        mailbox: Mailbox,
        hub: RunHub,
        limits: Limits,
        sessions_serving: Callable[[str, str, str], int],
        is_paused: Callable[[str, str, str], bool],
    ) -> None:
        """The last two tell of a function, by namespace, app and id, what its queued runs wait for."""
        self._questions = questions
        self._mailbox = mailbox
        self._hub = hub
        self._limits = limits
        self._sessions_serving = sessions_serving
        self._is_paused = is_paused

    @override
    async def GetRun(self, request: run_pb2.GetRunRequest, context: _Context) -> run_pb2.GetRunResponse:
        view = await self._get(*_run_name(request))
        return run_pb2.GetRunResponse(run=self._show(view))

    @override
    async def ListRuns(self, request: run_pb2.ListRunsRequest, context: _Context) -> run_pb2.ListRunsResponse:
        page = read_page(request)
        filter_ = run_filter(request)

        def read(reader: Reader) -> run_pb2.ListRunsResponse:
            views = reader.list_runs(filter_, before_id=page.cursor, limit=page.size + 1)
            answer = run_pb2.ListRunsResponse()
            size = 0
            for view in views[: page.size]:
                run = self._show(view)
                answer.runs.append(run)
                size += run.ByteSize()
                if size >= _PAGE_BYTES_MAX:
                    break
            if len(answer.runs) < len(views):
                answer.next_page_token = next_token(request, answer.runs[-1].id)
            return answer

        return await self._questions.ask(read)

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

        return await self._questions.ask(read)

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

        return await self._questions.ask(read)

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

        return await self._questions.ask(read)

    @override
    async def CancelRun(self, request: run_pb2.CancelRunRequest, context: _Context) -> run_pb2.CancelRunResponse:
        namespace, run_id = _run_name(request)
        _check_reason(request.reason)
        await self._mailbox.submit(CancelRun(namespace=namespace, run_id=run_id, reason=request.reason))
        return run_pb2.CancelRunResponse(run=self._show(await self._get(namespace, run_id)))

    @override
    async def WatchRun(
        self, request: run_pb2.WatchRunRequest, context: _Context
    ) -> AsyncIterator[run_pb2.WatchRunResponse]:
        namespace, run_id = _run_name(request)
        async with aclosing(watch_run(self._hub, run_id, lambda: self._get(namespace, run_id))) as views:
            async for view in views:
                yield run_pb2.WatchRunResponse(run=self._show(view))

    @override
    async def CancelRuns(
        self, request: run_pb2.CancelRunsRequest, context: _Context
    ) -> AsyncIterator[run_pb2.CancelRunsResponse]:
        _check_reason(request.reason)
        selection = Selection(request.namespace, request.selection, default_states=LIVE)
        told = run_pb2.CancelRunsResponse()
        async with aclosing(selection.pages(self._questions)) as pages:
            async for seen, run_ids in pages:
                told.seen += seen
                command = CancelRuns(namespace=selection.namespace, run_ids=tuple(run_ids), reason=request.reason)
                told.cancelled += len(run_ids) if request.dry_run else await self._mailbox.submit(command)
                yield told
        if not told.seen:
            yield told

    @override
    async def ReplayRun(self, request: run_pb2.ReplayRunRequest, context: _Context) -> run_pb2.ReplayRunResponse:
        namespace, run_id = _run_name(request)
        output = request.output if request.HasField("output") else None
        found: validate.Violations = []
        if request.step_key and (problem := validate.step_key_problem(request.step_key)):
            found.append(FieldViolation("step_key", problem))
        if output is not None and not request.step_key:
            found.append(FieldViolation("step_key", "is required with an output: it is that step's"))
        if output is not None and (problem := output_problem(output, self._limits)):
            found.append(FieldViolation("output", problem))
        validate.refuse(found)
        command = ReplayRun(
            namespace=namespace,
            run_id=run_id,
            step_key=request.step_key,
            output=None if output is None else output.data or b"null",
            encoding="" if output is None else output.encoding,
        )
        new_id: str = await self._mailbox.submit(command)
        return run_pb2.ReplayRunResponse(run=self._show(await self._get(namespace, new_id)))

    @override
    async def ReplayRuns(
        self, request: run_pb2.ReplayRunsRequest, context: _Context
    ) -> AsyncIterator[run_pb2.ReplayRunsResponse]:
        selection = Selection(request.namespace, request.selection, default_states=(RunState.FAILED,))
        told = run_pb2.ReplayRunsResponse()
        run_ids: list[str] = []
        # All are found first, so that none of the new runs is among them; then they start in the order of the old ones.
        async with aclosing(selection.pages(self._questions)) as pages:
            async for seen, page in pages:
                told.seen += seen
                run_ids += page
                yield told
        run_ids.reverse()
        for first in range(0, len(run_ids), _REPLAYS_AT_ONCE):
            some = tuple(run_ids[first : first + _REPLAYS_AT_ONCE])
            command = ReplayRuns(namespace=selection.namespace, run_ids=some)
            told.replayed += len(some) if request.dry_run else await self._mailbox.submit(command)
            yield told
        if not run_ids:
            yield told

    @override
    async def ReleaseRun(self, request: run_pb2.ReleaseRunRequest, context: _Context) -> run_pb2.ReleaseRunResponse:
        namespace, run_id = _run_name(request)
        await self._mailbox.submit(ReleaseRun(namespace=namespace, run_id=run_id))
        return run_pb2.ReleaseRunResponse(run=self._show(await self._get(namespace, run_id)))

    def _show(self, view: RunView) -> run_pb2.Run:
        function = (view.run.namespace, view.app_id, view.function_id)
        if not self._sessions_serving(*function):
            return run_message(view, run_pb2.RUN_NEED_WORKER)
        return run_message(view, run_pb2.RUN_NEED_RESUME if self._is_paused(*function) else run_pb2.RUN_NEED_TURN)

    async def _get(self, namespace: str, run_id: str) -> RunView:
        return await self._questions.ask(lambda reader: _get(reader, namespace, run_id))


def _get(reader: Reader, namespace: str, run_id: str) -> RunView:
    view = reader.get_run(namespace, run_id)
    if view is None:
        raise NotFound(kind="run", name=run_id)
    return view


def _check_reason(reason: str) -> None:
    size = len(reason.encode())
    if size > REASON_BYTES_MAX:
        validate.refuse([FieldViolation("reason", f"has {size} bytes; {REASON_BYTES_MAX} are the most")])


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
