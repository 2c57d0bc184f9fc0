"""A server of a few lines, which speaks the contract: it keeps what it was asked, and answers the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from typing_extensions import override

from controlplane.gen.steplane.v1 import (
    event_pb2,
    event_pb2_grpc,
    function_pb2,
    function_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)
from tests.cli.messages import run

MATCHING = 3
"""How many runs match any selection."""


class Scripted(
    run_pb2_grpc.RunServiceServicer, function_pb2_grpc.FunctionServiceServicer, event_pb2_grpc.EventServiceServicer
):
    """Serves until the block ends."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        """The requests, in order."""
        self._server = grpc.server(ThreadPoolExecutor(2))
        run_pb2_grpc.add_RunServiceServicer_to_server(self, self._server)
        function_pb2_grpc.add_FunctionServiceServicer_to_server(self, self._server)
        event_pb2_grpc.add_EventServiceServicer_to_server(self, self._server)

    def __enter__(self) -> str:
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        return f"127.0.0.1:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    @override
    def CancelRun(self, request: run_pb2.CancelRunRequest, context: object) -> run_pb2.CancelRunResponse:
        self.asked.append(request)
        cancelled = run(request.run_id, "a/b", run_pb2.RUN_STATE_CANCELLED, event_id="E1", took=1)
        return run_pb2.CancelRunResponse(run=cancelled)

    @override
    def CancelRuns(self, request: run_pb2.CancelRunsRequest, context: object) -> Iterator[run_pb2.CancelRunsResponse]:
        self.asked.append(request)
        yield run_pb2.CancelRunsResponse(seen=10, cancelled=1)
        yield run_pb2.CancelRunsResponse(seen=20, cancelled=MATCHING)

    @override
    def ReplayRun(self, request: run_pb2.ReplayRunRequest, context: object) -> run_pb2.ReplayRunResponse:
        self.asked.append(request)
        new = run("R2", "a/b", run_pb2.RUN_STATE_QUEUED, event_id="E1", replay_of=request.run_id)
        return run_pb2.ReplayRunResponse(run=new)

    @override
    def ReplayRuns(self, request: run_pb2.ReplayRunsRequest, context: object) -> Iterator[run_pb2.ReplayRunsResponse]:
        self.asked.append(request)
        yield run_pb2.ReplayRunsResponse(seen=20, replayed=MATCHING)

    @override
    def ReleaseRun(self, request: run_pb2.ReleaseRunRequest, context: object) -> run_pb2.ReleaseRunResponse:
        self.asked.append(request)
        return run_pb2.ReleaseRunResponse(run=run(request.run_id, "a/b", run_pb2.RUN_STATE_QUEUED, event_id="E1"))

    @override
    def GetFunction(
        self, request: function_pb2.GetFunctionRequest, context: object
    ) -> function_pb2.GetFunctionResponse:
        self.asked.append(request)
        return function_pb2.GetFunctionResponse(function=_function(function_pb2.FUNCTION_STATE_ACTIVE))

    @override
    def PauseFunction(
        self, request: function_pb2.PauseFunctionRequest, context: object
    ) -> function_pb2.PauseFunctionResponse:
        self.asked.append(request)
        return function_pb2.PauseFunctionResponse(function=_function(function_pb2.FUNCTION_STATE_PAUSED))

    @override
    def ResumeFunction(
        self, request: function_pb2.ResumeFunctionRequest, context: object
    ) -> function_pb2.ResumeFunctionResponse:
        self.asked.append(request)
        return function_pb2.ResumeFunctionResponse(function=_function(function_pb2.FUNCTION_STATE_ACTIVE))

    @override
    def DisableFunction(
        self, request: function_pb2.DisableFunctionRequest, context: object
    ) -> function_pb2.DisableFunctionResponse:
        self.asked.append(request)
        return function_pb2.DisableFunctionResponse(function=_function(function_pb2.FUNCTION_STATE_DISABLED))

    @override
    def DeleteFunction(
        self, request: function_pb2.DeleteFunctionRequest, context: object
    ) -> function_pb2.DeleteFunctionResponse:
        self.asked.append(request)
        return function_pb2.DeleteFunctionResponse(runs_cancelled=MATCHING)

    @override
    def SendSignal(
        self, request: event_pb2.SendSignalRequest, context: grpc.ServicerContext
    ) -> event_pb2.SendSignalResponse:
        self.asked.append(request)
        if request.signal == "nobody":
            context.abort(grpc.StatusCode.NOT_FOUND, "there is no such thing")
        return event_pb2.SendSignalResponse(run_id="R1")


def _function(state: function_pb2.FunctionState) -> function_pb2.Function:
    definition = function_pb2.FunctionDefinition(app_id="shop", function_id="checkout")
    return function_pb2.Function(definition=definition, version=1, state=state)
