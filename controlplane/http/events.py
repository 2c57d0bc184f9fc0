"""What is behind the door: one path, one method. It hands events to the service that gRPC callers reach too."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

import orjson

from controlplane.core.limits import Limits
from controlplane.errors import FieldViolation, InvalidArgument
from controlplane.gen.steplane.v1 import event_pb2
from controlplane.http.event_json import read_events
from controlplane.http.messages import Head, Response
from controlplane.http.problems import MethodNotAllowed, UnknownPath, UnsupportedMediaType
from controlplane.rpc.send_events import EventService
from controlplane.rpc.trace_metadata import trace_of

PATH: Final = "/events"
_PARAMETERS_MAX: Final = 10


class EventDoor:
    """`POST /events`."""

    def __init__(self, events: EventService, *, limits: Limits) -> None:
        self._events = events
        self._limits = limits

    @property
    def body_bytes_max(self) -> int:
        """The most that a body may have: as much as a message over gRPC."""
        return self._limits.frame_bytes_max

    def check(self, head: Head) -> None:
        """Refuse what can be refused before its body is read. Raises `CallerError`."""
        if head.path != PATH:
            raise UnknownPath(f"there is only POST {PATH}")
        if head.method != "POST":
            raise MethodNotAllowed(f"{PATH} takes POST only")
        kind, _, parameters = head.header("content-type").partition(";")
        charset = parameters.strip().lower().removeprefix("charset=").strip('"')
        # A browser asks before it sends this type to a foreign server, and gets no leave: pages can't send events.
        if kind.strip().lower() != "application/json" or charset not in ("", "utf-8"):
            raise UnsupportedMediaType("the content-type has to be application/json, in UTF-8")
        if head.header("content-encoding").strip().lower() not in ("", "identity"):
            raise UnsupportedMediaType("a body can't be compressed here")

    async def answer(self, head: Head, body: bytes) -> Response:
        """Take events in, and return once they are on disk. Raises `SteplaneError`."""
        request = event_pb2.SendEventsRequest(namespace=_namespace(head.query), events=read_events(body, self._limits))
        answer = await self._events.take_in(request, trace_of(head.headers))
        return Response(200, orjson.dumps({"ids": list(answer.ids), "duplicates": answer.duplicates}))


def _namespace(query: str) -> str:
    """The one parameter that there is; a misspelt one must not send events elsewhere."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
    except ValueError:
        raise InvalidArgument(FieldViolation("query", f"has more than {_PARAMETERS_MAX} parameters")) from None
    unknown = [name for name, _ in pairs if name != "namespace"]
    if unknown:
        raise InvalidArgument(FieldViolation(unknown[0], "is no parameter; there is namespace only"))
    if len(pairs) > 1:
        raise InvalidArgument(FieldViolation("namespace", "is given more than once"))
    return pairs[0][1] if pairs else ""
