"""The server as a client command sees it: one method a question. Every failure of a call becomes a `Problem`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.client_commands.call_problems import call_problem
from controlplane.client_commands.show.words import RUN_STATES
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

_PAGE: Final = 1_000
_Item = TypeVar("_Item")


class Tls(NamedTuple):
    """How to make sure who the server is, and to prove who the client is: the contents of PEM files."""

    ca: bytes | None = None
    """Whom to trust; gRPC's own list of authorities if `None`."""
    cert: bytes | None = None
    key: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the server is and how to talk to it."""

    address: str
    namespace: str
    timeout: float
    """Seconds that one call may take."""
    tls: Tls | None = None


class Listed(NamedTuple, Generic[_Item]):
    """The first items of a list."""

    items: list[_Item]
    has_more: bool


class Server:
    """A connection to a server; opened at the first call."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._namespace = target.namespace
        self._channel = _channel(target)
        self._events = event_pb2_grpc.EventServiceStub(self._channel)
        self._functions = function_pb2_grpc.FunctionServiceStub(self._channel)
        self._runs = run_pb2_grpc.RunServiceStub(self._channel)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def send_event(
        self, *, name: str, data: bytes, id_: str, ts: int | None, traceparent: str
    ) -> event_pb2.SendEventsResponse:
        """Send one event; `ts` in microseconds since 1970."""
        event = event_pb2.Event(
            id=id_, name=name, data=payload_pb2.Payload(data=data), ts=_timestamp(ts), traceparent=traceparent
        )
        request = event_pb2.SendEventsRequest(namespace=self._namespace, events=[event])
        answer: event_pb2.SendEventsResponse = self._call(self._events.SendEvents, request)
        return answer

    def trigger(
        self, *, app_id: str, function_id: str, data: bytes, event_id: str
    ) -> function_pb2.TriggerFunctionResponse:
        """Start one run of a function."""
        request = function_pb2.TriggerFunctionRequest(
            namespace=self._namespace,
            app_id=app_id,
            function_id=function_id,
            data=payload_pb2.Payload(data=data),
            event_id=event_id,
        )
        answer: function_pb2.TriggerFunctionResponse = self._call(self._functions.TriggerFunction, request)
        return answer

    def list_functions(self, *, app_id: str, limit: int) -> Listed[function_pb2.Function]:
        """The first functions, by app and id."""
        request = function_pb2.ListFunctionsRequest(namespace=self._namespace, app_id=app_id)
        return self._list(self._functions.ListFunctions, request, "functions", limit)

    def list_events(self, *, name: str, id_: str, limit: int) -> Listed[run_pb2.EventRecord]:
        """The newest events."""
        request = run_pb2.ListEventsRequest(namespace=self._namespace, name=name, id=id_)
        return self._list(self._runs.ListEvents, request, "events", limit)

    def list_runs(
        self,
        *,
        limit: int,
        app_id: str = "",
        function_id: str = "",
        states: Sequence[str] = (),
        event_id: str = "",
        since: int | None = None,
    ) -> Listed[run_pb2.Run]:
        """The newest runs; `states` are their words, `since` is in microseconds since 1970."""
        request = run_pb2.ListRunsRequest(
            namespace=self._namespace,
            app_id=app_id,
            function_id=function_id,
            states=[RUN_STATES[word] for word in states],
            event_id=event_id,
            create_time_min=_timestamp(since),
        )
        return self._list(self._runs.ListRuns, request, "runs", limit)

    def get_run(self, run_id: str) -> run_pb2.Run:
        """One run."""
        request = run_pb2.GetRunRequest(namespace=self._namespace, run_id=run_id)
        answer: run_pb2.GetRunResponse = self._call(self._runs.GetRun, request)
        return answer.run

    def journal(self, run_id: str, limit: int) -> Listed[run_pb2.JournalEntry]:
        """The first recorded steps of a run."""
        request = run_pb2.ListJournalRequest(namespace=self._namespace, run_id=run_id)
        return self._list(self._runs.ListJournal, request, "entries", limit)

    def lineage(self, event_id: str, *, run_limit: int) -> run_pb2.GetLineageResponse:
        """All that came of an event."""
        request = run_pb2.GetLineageRequest(namespace=self._namespace, event_id=event_id, run_limit=run_limit)
        answer: run_pb2.GetLineageResponse = self._call(self._runs.GetLineage, request)
        return answer

    def cancel(self, run_id: str, reason: str) -> run_pb2.Run:
        """Cancel a run; it is given as the cancellation left it."""
        request = run_pb2.CancelRunRequest(namespace=self._namespace, run_id=run_id, reason=reason)
        answer: run_pb2.CancelRunResponse = self._call(self._runs.CancelRun, request)
        return answer.run

    def watch(self, run_id: str) -> Iterator[run_pb2.Run]:
        """A run as it is now, and again at each change, until it has ended."""
        request = run_pb2.WatchRunRequest(namespace=self._namespace, run_id=run_id)
        try:
            for answer in self._runs.WatchRun(request):
                yield answer.run
        except grpc.RpcError as error:
            raise call_problem(error, self._target.address, tls=self._target.tls is not None) from error

    def _list(self, method: Callable[..., Any], request: Any, field: str, limit: int) -> Listed[Any]:
        items: list[Any] = []
        while True:
            request.page_size = min(limit - len(items), _PAGE)
            answer = self._call(method, request)
            items += getattr(answer, field)
            if not answer.next_page_token or len(items) >= limit:
                return Listed(items[:limit], has_more=bool(answer.next_page_token) or len(items) > limit)
            request.page_token = answer.next_page_token

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._target.timeout)
        except grpc.RpcError as error:
            raise call_problem(error, self._target.address, tls=self._target.tls is not None) from error


def _channel(target: Target) -> grpc.Channel:
    # A run's output may be larger than what a client of gRPC takes unless told otherwise.
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if target.tls is None:
        return grpc.insecure_channel(target.address, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=target.tls.ca, private_key=target.tls.key, certificate_chain=target.tls.cert
    )
    return grpc.secure_channel(target.address, credentials, options=options)


def _timestamp(moment: int | None) -> Timestamp | None:
    if moment is None:
        return None
    seconds, micros = divmod(moment, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)
