"""Plays the client's side of a recording to a server, and says where the server answers otherwise than it did then.

Each thing that a client did is done again, with the same bytes, once all that the server had said before it has been said
again. Only ids that a server makes up are others each time: they are all of one length, so they are replaced in the bytes.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from contextlib import suppress
from typing import Any, Final, TypeAlias

import grpc
from grpc import aio

from tests.compatibility.recording import SINGLE_WORK, STREAM_WORK, Contract, Entry, Recording, items
from tests.compatibility.server import Server

_ANSWER_SECONDS_MAX: Final = 20
_ID: Final = re.compile("[0-9A-HJKMNP-TV-Z]{26}")
_ID_BYTES: Final = re.compile(_ID.pattern.encode())
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_TRACEPARENT: Final = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SAME_FORM: Final = (_MOMENT, _TRACEPARENT)
#: What is said to people, or is a server's own affair: it may change at any time.
_FREE: Final = {
    "welcome": {"server", "limits"},
    "acks": {"message"},
    "cancellations": {"reason"},
    "drain": {"reason"},
    "/steplane.v1.FunctionService/RegisterFunction": {"warnings"},
}

#: A call, and the function of the run that an item is about: in these the order of items is part of the contract.
Line: TypeAlias = tuple[int, str]


class Lines:
    """The items of one side, then or now: which line each is in."""

    def __init__(self, contract: Contract, methods: dict[int, str]) -> None:
        self._contract = contract
        self._methods = methods
        self._functions: dict[str, str] = {}

    def items(self, call: int, data: bytes) -> list[tuple[Line, str, Any]]:
        """The items of what a server sent, each with its line and its kind."""
        method = self._methods[call]
        found = []
        for kind, item in items(method, self._contract.response(method, data)):
            if kind == "invocations":
                self._functions[item["run_id"]] = item["function_id"]
            is_of_run = method in (STREAM_WORK, *SINGLE_WORK) and "run_id" in item
            function = self._functions[item["run_id"]] if is_of_run else ""
            found.append(((call, function), kind, item))
        return found


class Player:
    """Plays one recording, once."""

    def __init__(self, recording: Recording, contract: Contract, server: Server) -> None:
        self.problems: list[str] = []
        """What was answered otherwise."""
        methods = {entry.call: entry.method for entry in recording.entries if entry.do == "open"}
        self._entries = recording.entries
        self._methods = methods
        self._then, self._now = Lines(contract, methods), Lines(contract, methods)
        self._server = server
        self._ids: dict[str, str] = {}
        self._calls: dict[int, Any] = {}
        self._readers: dict[int, asyncio.Task[None]] = {}
        self._answers: defaultdict[Line, asyncio.Queue[tuple[str, Any]]] = defaultdict(asyncio.Queue)

    async def play(self) -> None:
        """Play it to its end. Raises `TimeoutError` if an answer does not come."""
        async with aio.insecure_channel(self._server.address) as channel:
            try:
                for entry in self._entries:
                    await self._play(entry, channel)
            finally:
                for call, reader in self._readers.items():
                    self._calls[call].cancel()
                    with suppress(asyncio.CancelledError, aio.AioRpcError):
                        await reader
        for line, answers in self._answers.items():
            while not answers.empty():
                self.problems.append(f"{line}: it was never said before: {answers.get_nowait()}")

    async def _play(self, entry: Entry, channel: aio.Channel) -> None:
        match entry.do:
            case "open":
                call = self._calls[entry.call] = channel.stream_stream(entry.method)()
                self._readers[entry.call] = asyncio.ensure_future(self._read(entry.call, call))
            case "send":
                await self._calls[entry.call].write(self._with_new_ids(entry.data))
            case "close":
                await self._calls[entry.call].done_writing()
            case "stop":
                self._server.stop()
            case "cut":
                self._calls[entry.call].cancel()
            case "receive":
                for line, kind, item in self._then.items(entry.call, entry.data):
                    await self._expect(line, kind, item)
            case "end":
                await asyncio.wait_for(self._readers[entry.call], _ANSWER_SECONDS_MAX)
                assert await self._calls[entry.call].code() is grpc.StatusCode.OK

    async def _read(self, call: int, answers: Any) -> None:
        async for data in answers:
            for line, kind, item in self._now.items(call, data):
                self._answers[line].put_nowait((kind, item))

    async def _expect(self, line: Line, kind: str, then: Any) -> None:
        try:
            answer = await asyncio.wait_for(self._answers[line].get(), _ANSWER_SECONDS_MAX)
        except TimeoutError:
            message = f"{self._methods[line[0]]} {line}: {kind} did not come: {then}; {self.problems}"
            raise TimeoutError(message) from None
        if answer[0] != kind:
            self.problems.append(f"{line}: {answer} instead of {kind}: {then}")
            return
        free = _FREE.get(kind, set())
        now = {name: value for name, value in answer[1].items() if name not in free}
        then = {name: value for name, value in then.items() if name not in free}
        self._compare(then, now, f"{self._methods[line[0]]} {kind} {line[1]}".strip())

    def _compare(self, then: Any, now: Any, where: str) -> None:
        if isinstance(then, dict) and isinstance(now, dict):
            # The text of a failure that has a reason is the server's, for people.
            free = {"message"} if "reason" in then else set()
            for name in sorted((then.keys() | now.keys()) - free):
                self._compare(then.get(name), now.get(name), f"{where}.{name}")
        elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
            for index, pair in enumerate(zip(then, now, strict=True)):
                self._compare(*pair, f"{where}[{index}]")
        elif not (isinstance(then, str) and isinstance(now, str) and self._is_same(then, now)) and then != now:
            self.problems.append(f"{where} was {then!r}, and is {now!r}")

    def _is_same(self, then: str, now: str) -> bool:
        if any(form.fullmatch(then) and form.fullmatch(now) for form in _SAME_FORM):
            return True
        pairs = list(zip(_ID.findall(then), _ID.findall(now), strict=False))
        return _ID.sub("", then) == _ID.sub("", now) and all(
            self._ids.setdefault(old, new) == new for old, new in pairs
        )

    def _with_new_ids(self, data: bytes) -> bytes:
        return _ID_BYTES.sub(lambda match: self._ids.get(match[0].decode(), match[0].decode()).encode(), data)
