"""FunctionService: registers functions, shows them, starts them by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import grpc
from typing_extensions import override

from controlplane.core.definition import FunctionRow, FunctionState
from controlplane.core.limits import PAGE_MAX, Limits
from controlplane.core.records import NewEvent
from controlplane.engine.commands import (
    CancelRuns,
    Registered,
    RegisterFunction,
    SetFunctionState,
    Triggered,
    TriggerFunction,
)
from controlplane.engine.mailbox import Mailbox
from controlplane.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc
from controlplane.rpc import options, validate
from controlplane.rpc.pages import bad_token, next_token, read_page
from controlplane.rpc.questions import Questions
from controlplane.rpc.selection import of_function
from controlplane.rpc.trace_metadata import trace_of
from controlplane.rpc.translate import definition_of, event_data, function_message
from controlplane.store.interface import Reader

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_SessionsServing: TypeAlias = Callable[[str, str, str], int]
_Named: TypeAlias = (
    function_pb2.GetFunctionRequest
    | function_pb2.PauseFunctionRequest
    | function_pb2.ResumeFunctionRequest
    | function_pb2.DisableFunctionRequest
    | function_pb2.DeleteFunctionRequest
)


class FunctionService(function_pb2_grpc.FunctionServiceServicer):
    """Knows the functions. `sessions_serving` counts the live sessions of (namespace, app, function)."""

    def __init__(
        self,
        *,
        questions: Questions,
        mailbox: Mailbox,
        limits: Limits,
        clock: Callable[[], int],
        sessions_serving: _SessionsServing,
    ) -> None:
        self._questions = questions
        self._mailbox = mailbox
        self._limits = limits
        self._clock = clock
        self._sessions_serving = sessions_serving

    @override
    async def RegisterFunction(
        self, request: function_pb2.RegisterFunctionRequest, context: _Context
    ) -> function_pb2.RegisterFunctionResponse:
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        validate.definition(request.definition, found)
        options.check(request.definition, found)
        validate.refuse(found)
        definition = definition_of(request.definition, options.options_of(request.definition))
        command = RegisterFunction(namespace=namespace, definition=definition)
        registered: Registered = await self._mailbox.submit(command)
        return function_pb2.RegisterFunctionResponse(version=registered.version, warnings=registered.warnings)

    @override
    async def GetFunction(
        self, request: function_pb2.GetFunctionRequest, context: _Context
    ) -> function_pb2.GetFunctionResponse:
        return function_pb2.GetFunctionResponse(function=self._show(await self._find(request)))

    @override
    async def ListFunctions(
        self, request: function_pb2.ListFunctionsRequest, context: _Context
    ) -> function_pb2.ListFunctionsResponse:
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        if request.app_id and (problem := validate.slug_problem(request.app_id)):
            found.append(FieldViolation("app_id", problem))
        validate.refuse(found)
        page = read_page(request)
        after = _name_of(page.cursor)
        rows = await self._questions.ask(
            lambda reader: reader.list_functions(namespace, app_id=request.app_id, after=after, limit=page.size + 1)
        )
        answer = function_pb2.ListFunctionsResponse(functions=[self._show(row) for row in rows[: page.size]])
        if len(rows) > page.size:
            last = rows[page.size - 1].definition
            answer.next_page_token = next_token(request, f"{last.app_id}/{last.function_id}")
        return answer

    @override
    async def TriggerFunction(
        self, request: function_pb2.TriggerFunctionRequest, context: _Context
    ) -> function_pb2.TriggerFunctionResponse:
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        validate.function_name(request.app_id, request.function_id, found)
        payload = request.data
        data = event_data(payload.data, payload.encoding)
        event = NewEvent(request.event_id, "", data, payload.encoding, None, *trace_of(context.invocation_metadata()))
        for path, problem in validate.event_problems(event, self._limits, self._clock()):
            found.append(FieldViolation("event_id" if path == "id" else path, problem))
        validate.refuse(found)
        command = TriggerFunction(
            namespace=namespace, app_id=request.app_id, function_id=request.function_id, event=event
        )
        triggered: Triggered = await self._mailbox.submit(command)
        return function_pb2.TriggerFunctionResponse(event_id=triggered.event_id, run_id=triggered.run_id)

    @override
    async def PauseFunction(
        self, request: function_pb2.PauseFunctionRequest, context: _Context
    ) -> function_pb2.PauseFunctionResponse:
        row = await self._set_state(request, FunctionState.PAUSED)
        return function_pb2.PauseFunctionResponse(function=self._show(row))

    @override
    async def ResumeFunction(
        self, request: function_pb2.ResumeFunctionRequest, context: _Context
    ) -> function_pb2.ResumeFunctionResponse:
        row = await self._set_state(request, FunctionState.ACTIVE)
        return function_pb2.ResumeFunctionResponse(function=self._show(row))

    @override
    async def DisableFunction(
        self, request: function_pb2.DisableFunctionRequest, context: _Context
    ) -> function_pb2.DisableFunctionResponse:
        row = await self._set_state(request, FunctionState.DISABLED)
        return function_pb2.DisableFunctionResponse(function=self._show(row))

    @override
    async def DeleteFunction(
        self, request: function_pb2.DeleteFunctionRequest, context: _Context
    ) -> function_pb2.DeleteFunctionResponse:
        row = await self._find(request)
        definition = row.definition
        if self._sessions_serving(row.namespace, definition.app_id, definition.function_id):
            raise FailedPrecondition(
                f"function {definition.function_id!r} is served by a live worker; stop its workers first",
                reason="IS_SERVED",
            )
        # First nothing starts it any more, so that no run is made behind the last page.
        await self._submit_state(row, FunctionState.DISABLED)
        cancelled = 0
        selection = of_function(row)
        async for _, run_ids in selection.pages(self._questions):
            command = CancelRuns(namespace=row.namespace, run_ids=tuple(run_ids), reason="its function was deleted")
            cancelled += await self._mailbox.submit(command)
        await self._submit_state(row, FunctionState.DELETED)
        return function_pb2.DeleteFunctionResponse(runs_cancelled=cancelled)

    async def _set_state(self, request: _Named, state: FunctionState) -> FunctionRow:
        row = await self._find(request)
        await self._submit_state(row, state)
        return row._replace(state=state)

    async def _submit_state(self, row: FunctionRow, state: FunctionState) -> None:
        name = row.definition
        command = SetFunctionState(
            namespace=row.namespace, app_id=name.app_id, function_id=name.function_id, state=state
        )
        await self._mailbox.submit(command)

    async def _find(self, request: _Named) -> FunctionRow:
        found: validate.Violations = []
        namespace = validate.namespace_of(request.namespace, found)
        validate.function_name(request.app_id, request.function_id, found)
        validate.refuse(found)
        return await self._questions.ask(lambda reader: _find(reader, namespace, request.app_id, request.function_id))

    def _show(self, row: FunctionRow) -> function_pb2.Function:
        name = row.definition
        live = self._sessions_serving(row.namespace, name.app_id, name.function_id)
        message = function_message(row, live_sessions=live)
        options.fill_options(message.definition, row.definition.options)
        return message


def _find(reader: Reader, namespace: str, app_id: str, function_id: str) -> FunctionRow:
    rows = [row for row in _all(reader, namespace, app_id) if row.definition.function_id == function_id]
    if not rows:
        raise NotFound(kind="function", name=f"{app_id}/{function_id}" if app_id else function_id)
    if len(rows) > 1:
        apps = ", ".join(row.definition.app_id for row in rows)
        raise InvalidArgument(FieldViolation("app_id", f"several apps have such a function; name one of {apps}"))
    return rows[0]


def _all(reader: Reader, namespace: str, app_id: str) -> Iterator[FunctionRow]:
    after = ("", "")
    while rows := reader.list_functions(namespace, app_id=app_id, after=after, limit=PAGE_MAX):
        yield from rows
        last = rows[-1].definition
        after = (last.app_id, last.function_id)


def _name_of(cursor: str) -> tuple[str, str]:
    if not cursor:
        return ("", "")
    app_id, slash, function_id = cursor.partition("/")
    if not slash:
        raise bad_token()
    return (app_id, function_id)
