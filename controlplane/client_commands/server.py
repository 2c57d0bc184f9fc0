"""The server as a client command sees it: one method a question, and its `steering` for what changes things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from controlplane.client_commands.connection import Connection, timestamp
from controlplane.client_commands.show.words import RUN_STATES
from controlplane.client_commands.steering import Steering
from controlplane.client_commands.working import Working
from controlplane.gen.steplane.v1 import (
    event_pb2,
    event_pb2_grpc,
    function_pb2,
    function_pb2_grpc,
    payload_pb2,
    run_pb2,
    run_pb2_grpc,
)

if TYPE_CHECKING:
    from types import TracebackType

    from controlplane.client_commands.connection import Listed, Target
    from controlplane.client_commands.input import FunctionName


class Server:
    """A connection to a server; opened at the first call."""

    def __init__(self, target: Target) -> None:
        self._connection = Connection(target)
        self._namespace = target.namespace
        self._events = event_pb2_grpc.EventServiceStub(self._connection.channel)
        self._functions = function_pb2_grpc.FunctionServiceStub(self._connection.channel)
        self._runs = run_pb2_grpc.RunServiceStub(self._connection.channel)
        self.steering = Steering(self._connection)
        """The orders that change runs and functions."""
        self.working = Working(self._connection)
        """What workers ask."""

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.channel.close()

    def send_event(
        self, *, name: str, data: bytes, id_: str, ts: int | None, traceparent: str
    ) -> event_pb2.SendEventsResponse:
        """Send one event; `ts` in microseconds since 1970."""
        event = event_pb2.Event(
            id=id_, name=name, data=payload_pb2.Payload(data=data), ts=timestamp(ts), traceparent=traceparent
        )
        request = event_pb2.SendEventsRequest(namespace=self._namespace, events=[event])
        answer: event_pb2.SendEventsResponse = self._connection.call(self._events.SendEvents, request)
        return answer

    def send_signal(self, name: str, data: bytes) -> str:
        """Send a signal; the result is the id of the run that got it."""
        request = event_pb2.SendSignalRequest(
            namespace=self._namespace, signal=name, data=payload_pb2.Payload(data=data)
        )
        answer: event_pb2.SendSignalResponse = self._connection.call(self._events.SendSignal, request)
        return answer.run_id

    def trigger(self, function: FunctionName, *, data: bytes, event_id: str) -> function_pb2.TriggerFunctionResponse:
        """Start one run of a function."""
        request = function_pb2.TriggerFunctionRequest(
            namespace=self._namespace,
            **function._asdict(),
            data=payload_pb2.Payload(data=data),
            event_id=event_id,
        )
        answer: function_pb2.TriggerFunctionResponse = self._connection.call(self._functions.TriggerFunction, request)
        return answer

    def list_functions(self, *, app_id: str, limit: int) -> Listed[function_pb2.Function]:
        """The first functions, by app and id."""
        request = function_pb2.ListFunctionsRequest(namespace=self._namespace, app_id=app_id)
        return self._connection.first_of(self._functions.ListFunctions, request, "functions", limit)

    def get_function(self, function: FunctionName) -> function_pb2.Function:
        """One function."""
        request = function_pb2.GetFunctionRequest(namespace=self._namespace, **function._asdict())
        answer: function_pb2.GetFunctionResponse = self._connection.call(self._functions.GetFunction, request)
        return answer.function

    def list_events(self, *, name: str, id_: str, limit: int) -> Listed[run_pb2.EventRecord]:
        """The newest events."""
        request = run_pb2.ListEventsRequest(namespace=self._namespace, name=name, id=id_)
        return self._connection.first_of(self._runs.ListEvents, request, "events", limit)

    def list_runs(
        self,
        *,
        limit: int,
        function: FunctionName | None = None,
        states: Sequence[str] = (),
        event_id: str = "",
        since: int | None = None,
        until: int | None = None,
    ) -> Listed[run_pb2.Run]:
        """The newest runs; `states` are their words, `since` and `until` are in microseconds since 1970."""
        request = run_pb2.ListRunsRequest(
            namespace=self._namespace,
            **(function._asdict() if function else {}),
            states=[RUN_STATES[word] for word in states],
            event_id=event_id,
            create_time_min=timestamp(since),
            create_time_max=timestamp(until),
        )
        return self._connection.first_of(self._runs.ListRuns, request, "runs", limit)

    def get_run(self, run_id: str) -> run_pb2.Run:
        """One run."""
        request = run_pb2.GetRunRequest(namespace=self._namespace, run_id=run_id)
        answer: run_pb2.GetRunResponse = self._connection.call(self._runs.GetRun, request)
        return answer.run

    def journal(self, run_id: str, limit: int) -> Listed[run_pb2.JournalEntry]:
        """The first recorded steps of a run."""
        request = run_pb2.ListJournalRequest(namespace=self._namespace, run_id=run_id)
        return self._connection.first_of(self._runs.ListJournal, request, "entries", limit)

    def lineage(self, event_id: str, *, run_limit: int) -> run_pb2.GetLineageResponse:
        """All that came of an event."""
        request = run_pb2.GetLineageRequest(namespace=self._namespace, event_id=event_id, run_limit=run_limit)
        answer: run_pb2.GetLineageResponse = self._connection.call(self._runs.GetLineage, request)
        return answer

    def watch(self, run_id: str) -> Iterator[run_pb2.Run]:
        """A run as it is now, and again at each change, until it has ended."""
        request = run_pb2.WatchRunRequest(namespace=self._namespace, run_id=run_id)
        for answer in self._connection.stream(self._runs.WatchRun, request):
            yield answer.run
