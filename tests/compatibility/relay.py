"""Stands between clients and a server, passes all calls on as bytes, and writes down what it passes on.

A call with one request and one answer is a stream with one message each way, so all calls are streams here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import grpc
from grpc import aio

from tests.compatibility.recording import STREAM_WORK, Contract, Entry, items
from tests.compatibility.server import Server

_HOP: Final = ("user-agent", "grpc-", ":")

#: Something that a worker was told: the kind of item, the function, and the step's key if it is of a step.
Told = tuple[str, str, str]


class Relay:
    """Records all calls, in the order in which they passed here."""

    def __init__(self, server: Server, contract: Contract) -> None:
        self.address = ""
        self.entries: list[Entry] = []
        self.runs: dict[str, str] = {}
        """The functions of all runs that were seen, by the runs' ids."""
        self._contract = contract
        self._process = server
        self._channel = aio.insecure_channel(server.address)
        self._server = aio.server()
        self._told: Counter[Told] = Counter()
        self._changed = asyncio.Event()
        self._calls = 0
        self._work: Any = None
        self._lost: Told | None = None

    async def start(self) -> None:
        """Take calls."""
        self._server.add_generic_rpc_handlers((_Handler(self._pass_on),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def close(self) -> None:
        """Take none any more."""
        await self._server.stop(None)
        await self._channel.close()

    async def told(self, kind: str, function: str = "", key: str = "", *, times: int = 1) -> None:
        """Wait until a worker was told that, so many times; the ack of an outcome has no key."""
        async with asyncio.timeout(60):
            while self._told[kind, function, key] < times:
                self._changed.clear()
                await self._changed.wait()

    def cut(self) -> None:
        """Break the newest stream of a worker."""
        self._work.cancel()

    def lose(self, kind: str, function: str, key: str) -> None:
        """Break the stream instead of passing that on, the next time."""
        self._lost = kind, function, key

    def stop(self) -> None:
        """Tell the server to stop."""
        self._note(Entry(0, "stop"))
        self._process.stop()

    def run_of(self, function: str) -> str:
        """The id of the run of a function: there is one only."""
        (run_id,) = [run_id for run_id, each in self.runs.items() if each == function]
        return run_id

    async def _pass_on(self, method: str, requests: AsyncIterator[bytes], context: Any) -> None:
        self._calls += 1
        number = self._calls
        self._note(Entry(number, "open", method))
        metadata = [(key, each) for key, each in context.invocation_metadata() or () if not key.startswith(_HOP)]
        call = self._channel.stream_stream(method)(metadata=metadata)
        if method == STREAM_WORK:
            self._work = call
        up = asyncio.ensure_future(self._up(number, requests, call))
        try:
            await self._down(number, method, call, context)
        except asyncio.CancelledError:
            self._note(Entry(number, "cut"))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        except aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        finally:
            up.cancel()
            call.cancel()
            with suppress(asyncio.CancelledError, asyncio.InvalidStateError, aio.AioRpcError):
                await up

    async def _down(self, number: int, method: str, call: Any, context: Any) -> None:
        async for data in call:
            self._note(Entry(number, "receive", data=data))
            if self._is_lost(method, data):
                raise asyncio.CancelledError
            await context.write(data)
        self._note(Entry(number, "end"))

    async def _up(self, number: int, requests: AsyncIterator[bytes], call: Any) -> None:
        async for data in requests:
            self._note(Entry(number, "send", data=data))
            await call.write(data)
        self._note(Entry(number, "close"))
        await call.done_writing()

    def _is_lost(self, method: str, data: bytes) -> bool:
        is_lost = False
        for kind, item in items(method, self._contract.response(method, data)):
            if kind == "invocations":
                self.runs[item["run_id"]] = item["function_id"]
            function = self.runs.get(item.get("run_id", ""), "")
            told = kind, function, item.get("step_key", item.get("entry", {}).get("step_key", ""))
            is_lost = is_lost or told == self._lost
            self._told[told] += 1
        if is_lost:
            self._lost = None
        self._changed.set()
        return is_lost

    def _note(self, entry: Entry) -> None:
        self.entries.append(entry)


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types of its own
    """Takes any method."""

    def __init__(self, pass_on: Any) -> None:
        self._pass_on = pass_on

    def service(self, handler_call_details: Any) -> Any:
        """How a call is handled."""
        method = handler_call_details.method

        async def handle(requests: AsyncIterator[bytes], context: Any) -> None:
            await self._pass_on(method, requests, context)

        return grpc.stream_stream_rpc_method_handler(handle)
