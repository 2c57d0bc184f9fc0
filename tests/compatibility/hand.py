"""A worker by hand: it says what no SDK says when all goes well, so that all of the server's answers are recorded.

One function of its own for each scene, since in a recording each function has one run.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, work_pb2, work_pb2_grpc
from tests.compatibility.relay import Relay

_APP: str = "by-hand"
_START = Timestamp(seconds=981173106)
#: Fits a step, and six of them no frame.
LARGE = b'"%s"' % (b"x" * 30_000)


class Hand:
    """One worker, with one function, which has one run. As an async context it has a stream."""

    def __init__(self, relay: Relay, channel: aio.Channel, function: str) -> None:
        self._relay = relay
        self._function = function
        self._functions = function_pb2_grpc.FunctionServiceStub(channel)
        self._work = work_pb2_grpc.WorkServiceStub(channel)
        self._hello = work_pb2.Hello(
            namespace="default", app_id=_APP, instance_id=f"hand-of-{function}", sdk="hand/1", language="none"
        )
        self._is_welcome = asyncio.Event()
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open a stream, with room for two invocations."""
        await self.register()
        self._call = self._work.StreamWork()
        self._reader = asyncio.ensure_future(self._read())
        await self.say(hello=self._hello)
        await self._is_welcome.wait()
        await self.say(credit=work_pb2.Credit(invocation_limit=2))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""
        assert self._reader is not None
        await self._call.done_writing()
        await self._reader

    async def register(self) -> None:
        """The function, which is started by an event of its name."""
        definition = function_pb2.FunctionDefinition(app_id=_APP, function_id=self._function)
        definition.triggers.append(
            function_pb2.Trigger(event=function_pb2.EventTrigger(event=f"recorded/{self._function}"))
        )
        await self._functions.RegisterFunction(function_pb2.RegisterFunctionRequest(definition=definition))
        self._hello.function_ids[:] = [self._function]

    # On a stream.

    async def say(self, **frame: Any) -> None:
        """Send a frame."""
        await self._call.write(work_pb2.StreamWorkRequest(**frame))

    async def beat(self, *epochs: int) -> None:
        """Send a heartbeat."""
        await self.say(heartbeat=work_pb2.Heartbeat(held=[self._lease(epoch) for epoch in epochs]))

    async def release(self, epoch: int) -> None:
        """Hand a lease back."""
        await self.say(release=work_pb2.Release(leases=[self._lease(epoch)]))

    async def report(self, key: str = "", *, epoch: int = 1, **body: Any) -> None:
        """Report a step, or an outcome."""
        await self.say(reports=work_pb2.Reports(reports=[self.fact(key, epoch=epoch, **body)]))

    async def heard(self, kind: str, key: str = "", *, times: int = 1) -> None:
        """Wait until this function's run was told of so often."""
        await self._relay.told(kind, self._function, key, times=times)

    async def _read(self) -> None:
        async for frame in self._call:
            if frame.HasField("welcome"):
                self._is_welcome.set()

    # In single calls.

    async def poll(self, *held: int) -> work_pb2.PollWorkResponse:
        """Ask for work."""
        hello = work_pb2.Hello()
        hello.CopyFrom(self._hello)
        hello.held.extend(self._lease(epoch) for epoch in held)
        request = work_pb2.PollWorkRequest(hello=hello, max_invocations=1, wait=Duration(seconds=10))
        answer: work_pb2.PollWorkResponse = await self._work.PollWork(request)
        return answer

    async def call(self, *reports: work_pb2.Report, held: tuple[int, ...] = ()) -> None:
        """Report, and say what is held."""
        leases = [self._lease(epoch) for epoch in held]
        await self._work.Report(work_pb2.ReportRequest(namespace="default", reports=reports, held=leases))

    def fact(self, key: str = "", *, epoch: int = 1, **body: Any) -> work_pb2.Report:
        """One report."""
        run_id = self._relay.run_of(self._function)
        return work_pb2.Report(run_id=run_id, epoch=epoch, step_key=key, start_time=_START, **body)

    def _lease(self, epoch: int) -> work_pb2.Lease:
        return work_pb2.Lease(run_id=self._relay.run_of(self._function), epoch=epoch)


def completed(output: bytes = b"1", *, attempt: int = 1) -> dict[str, work_pb2.StepCompleted]:
    """A body that returned."""
    step = work_pb2.StepCompleted(attempt=attempt)
    step.output.data = output
    return {"step_completed": step}


def ended() -> dict[str, work_pb2.RunCompleted]:
    """A function that returned."""
    outcome = work_pb2.RunCompleted()
    outcome.output.data = b"2"
    return {"run_completed": outcome}
