"""A recording: what went over the wire between clients and a server, in its order, as bytes.

It is read with the contract of its own time, a set of descriptors that is stored beside it, and never with today's code.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

FOLDER: Final = Path(__file__).parent
STREAM_WORK: Final = "/steplane.v1.WorkService/StreamWork"
#: The same work in single calls, whose answers have the same items.
SINGLE_WORK: Final = ("/steplane.v1.WorkService/PollWork", "/steplane.v1.WorkService/Report")
#: What a server sends many of at once, of one kind.
_MANY: Final = ("invocations", "acks", "resolutions", "cancellations", "stop")

Action: TypeAlias = Literal["open", "send", "close", "receive", "end", "cut", "stop"]


@dataclass(frozen=True)
class Entry:
    """One thing that happened to a call."""

    call: int
    do: Action
    """`open`, `send` and `close` are the client's, `receive` and `end` the server's; `cut` is a connection that broke, and
    `stop` (of no call) a server that was told to stop."""
    method: str = ""
    data: bytes = b""


@dataclass
class Recording:
    """One recording."""

    flags: list[str]
    """What the server was started with."""
    entries: list[Entry] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it: a line that tells of the whole, and then a line for each entry."""
        lines = [json.dumps({"recording": 1, "descriptors": descriptors_of(path).name, "flags": self.flags})]
        for entry in self.entries:
            said = {**asdict(entry), "data": base64.b64encode(entry.data).decode()}
            lines.append(json.dumps({name: value for name, value in said.items() if value != ""}))
        # With no moment in it, so that the same recording is the same file.
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read it."""
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        first, *lines = map(json.loads, data.splitlines())
        assert first["recording"] == 1, "a recording of a newer form"
        entries = [Entry(**{**line, "data": base64.b64decode(line.get("data", ""))}) for line in lines]
        return cls(first["flags"], entries)


class Contract:
    """Messages as they were when a recording was made."""

    def __init__(self, descriptors: bytes) -> None:
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
            pool.Add(file)  # type: ignore[no-untyped-call]
        self._pool = pool

    def request(self, method: str, data: bytes) -> Message:
        """What a client sends."""
        return message_factory.GetMessageClass(self._method(method).input_type).FromString(data)

    def response(self, method: str, data: bytes) -> Message:
        """What a server sends; fields that are newer are not seen."""
        return message_factory.GetMessageClass(self._method(method).output_type).FromString(data)

    def _method(self, method: str) -> Any:
        _, service, name = method.split("/")
        return self._pool.FindServiceByName(service).methods_by_name[name]  # type: ignore[no-untyped-call]


def descriptors_of(path: Path) -> Path:
    """What a recording is read with."""
    return path.with_name(f"{path.name.split('.')[0]}.binpb")


def items(method: str, message: Message) -> Iterator[tuple[str, Any]]:
    """What a server sent, item by item, each with its kind: how they are put into frames is the server's affair."""
    frame: Any = message
    if method == STREAM_WORK:
        kind = frame.WhichOneof("frame")
        if kind is None:
            return  # a frame of a kind that is newer, which workers of that time ignore
        content = getattr(frame, kind)
        yield from ((kind, readable(each)) for each in (getattr(content, kind) if kind in _MANY else [content]))
    elif method in SINGLE_WORK:
        for field, content in frame.ListFields():
            yield from ((field.name, readable(each)) for each in (content if field.name in _MANY else [content]))
    else:
        yield method, readable(message)


def readable(message: Message) -> Any:
    """A message as plain values, its payloads as texts."""
    return _texts(json_format.MessageToDict(message, preserving_proto_field_name=True))


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(each).decode() if name == "data" and isinstance(each, str) else _texts(each)
        for name, each in value.items()
    }
