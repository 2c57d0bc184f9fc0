"""What changes runs and functions: one method an order, each with how the server left things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from controlplane.client_commands.connection import timestamp
from controlplane.client_commands.show.words import RUN_STATES
from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, payload_pb2, run_pb2, run_pb2_grpc

if TYPE_CHECKING:
    from controlplane.client_commands.connection import Connection
    from controlplane.client_commands.input import FunctionName
    from controlplane.client_commands.selection import Selection


class Progress(NamedTuple):
    """How far an order to many runs is."""

    seen: int
    """Runs looked at."""
    done: int
    """Runs that matched, and were worked on."""


class Steering:
    """The orders that a server takes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._namespace = connection.namespace
        self._functions = function_pb2_grpc.FunctionServiceStub(connection.channel)
        self._runs = run_pb2_grpc.RunServiceStub(connection.channel)

    def cancel(self, run_id: str, reason: str) -> run_pb2.Run:
        """End a run."""
        request = run_pb2.CancelRunRequest(namespace=self._namespace, run_id=run_id, reason=reason)
        answer: run_pb2.CancelRunResponse = self._connection.call(self._runs.CancelRun, request)
        return answer.run

    def cancel_all(self, selection: Selection, reason: str, *, dry_run: bool) -> Iterator[Progress]:
        """End all runs that match."""
        request = run_pb2.CancelRunsRequest(
            namespace=self._namespace, selection=_selection(selection), reason=reason, dry_run=dry_run
        )
        for answer in self._connection.stream(self._runs.CancelRuns, request):
            yield Progress(answer.seen, answer.cancelled)

    def replay(self, run_id: str, *, step_key: str, output: bytes | None) -> run_pb2.Run:
        """Start a new run from a run's events; with a step, from there on, and with `output` as what the step gave."""
        request = run_pb2.ReplayRunRequest(
            namespace=self._namespace,
            run_id=run_id,
            step_key=step_key,
            output=payload_pb2.Payload(data=output) if output is not None else None,
        )
        answer: run_pb2.ReplayRunResponse = self._connection.call(self._runs.ReplayRun, request)
        return answer.run

    def replay_all(self, selection: Selection, *, dry_run: bool) -> Iterator[Progress]:
        """Start a new run for each run that matches."""
        request = run_pb2.ReplayRunsRequest(namespace=self._namespace, selection=_selection(selection), dry_run=dry_run)
        for answer in self._connection.stream(self._runs.ReplayRuns, request):
            yield Progress(answer.seen, answer.replayed)

    def release(self, run_id: str) -> run_pb2.Run:
        """Queue a run again that was set aside."""
        request = run_pb2.ReleaseRunRequest(namespace=self._namespace, run_id=run_id)
        answer: run_pb2.ReleaseRunResponse = self._connection.call(self._runs.ReleaseRun, request)
        return answer.run

    def pause(self, name: FunctionName) -> function_pb2.Function:
        """Let a function's runs queue up."""
        request = function_pb2.PauseFunctionRequest(namespace=self._namespace, **name._asdict())
        answer: function_pb2.PauseFunctionResponse = self._connection.call(self._functions.PauseFunction, request)
        return answer.function

    def resume(self, name: FunctionName) -> function_pb2.Function:
        """Let a paused or disabled function go on."""
        request = function_pb2.ResumeFunctionRequest(namespace=self._namespace, **name._asdict())
        answer: function_pb2.ResumeFunctionResponse = self._connection.call(self._functions.ResumeFunction, request)
        return answer.function

    def disable(self, name: FunctionName) -> function_pb2.Function:
        """Let nothing start a function any more."""
        request = function_pb2.DisableFunctionRequest(namespace=self._namespace, **name._asdict())
        answer: function_pb2.DisableFunctionResponse = self._connection.call(self._functions.DisableFunction, request)
        return answer.function

    def delete(self, name: FunctionName) -> int:
        """Delete a function; the result is how many of its runs were cancelled."""
        request = function_pb2.DeleteFunctionRequest(namespace=self._namespace, **name._asdict())
        answer: function_pb2.DeleteFunctionResponse = self._connection.call(self._functions.DeleteFunction, request)
        return answer.runs_cancelled


def _selection(selection: Selection) -> run_pb2.RunSelection:
    return run_pb2.RunSelection(
        **selection.function._asdict(),
        states=[RUN_STATES[word] for word in selection.states],
        create_time_min=timestamp(selection.since),
        create_time_max=timestamp(selection.until),
        expression=selection.expression,
    )
