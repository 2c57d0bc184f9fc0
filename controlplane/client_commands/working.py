"""What workers ask of a server, in single calls: functions are registered, work is polled for, and reported on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from controlplane import VERSION
from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, run_pb2, run_pb2_grpc, work_pb2, work_pb2_grpc

if TYPE_CHECKING:
    from controlplane.client_commands.connection import Connection

_JOURNAL_MAX = 1_000_000


class Working:
    """A worker's side of a server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._namespace = connection.namespace
        self._functions = function_pb2_grpc.FunctionServiceStub(connection.channel)
        self._runs = run_pb2_grpc.RunServiceStub(connection.channel)
        self._work = work_pb2_grpc.WorkServiceStub(connection.channel)

    def register(self, definition: function_pb2.FunctionDefinition) -> function_pb2.RegisterFunctionResponse:
        """Register a function, or change it."""
        request = function_pb2.RegisterFunctionRequest(namespace=self._namespace, definition=definition)
        answer: function_pb2.RegisterFunctionResponse = self._connection.call(self._functions.RegisterFunction, request)
        return answer

    def poll(
        self, *, app_id: str, function_ids: Sequence[str], instance_id: str, wait: timedelta
    ) -> work_pb2.Invocation | None:
        """One invocation, with all of its journal; `None` if none came in time."""
        length = Duration()
        length.FromTimedelta(wait)
        hello = work_pb2.Hello(
            namespace=self._namespace,
            app_id=app_id,
            function_ids=function_ids,
            instance_id=instance_id,
            sdk=f"steplane-cli/{VERSION}",
        )
        request = work_pb2.PollWorkRequest(hello=hello, max_invocations=1, wait=length)
        answer: work_pb2.PollWorkResponse = self._connection.call(
            self._work.PollWork, request, more_seconds=wait.total_seconds()
        )
        for invocation in answer.invocations:
            self._complete(invocation)
            return invocation
        return None

    def report(
        self, reports: Sequence[work_pb2.Report], held: Sequence[work_pb2.Lease]
    ) -> Iterator[work_pb2.ReportResponse]:
        """Report, as often as it takes to have an answer to each; without reports, leases are renewed."""
        left = list(reports)
        while True:
            request = work_pb2.ReportRequest(namespace=self._namespace, reports=left, held=held)
            answer: work_pb2.ReportResponse = self._connection.call(self._work.Report, request)
            yield answer
            left = left[len(answer.acks) :]
            if not left:
                return

    def _complete(self, invocation: work_pb2.Invocation) -> None:
        """Read the journal anew that was too large for its answer."""
        if invocation.journal_remaining:
            request = run_pb2.ListJournalRequest(namespace=self._namespace, run_id=invocation.run_id)
            journal = self._connection.first_of(self._runs.ListJournal, request, "entries", _JOURNAL_MAX).items
            del invocation.journal[:]
            invocation.journal.extend(journal)
            invocation.journal_remaining = 0
