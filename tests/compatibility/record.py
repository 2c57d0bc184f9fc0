"""Record a worker of today and a server of today: `python -m tests.compatibility.record v2`, in the root of the project.

It writes the recording and the descriptors that it is to be read with; it does not write over an older one.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from grpc import aio
from grpc_tools import protoc

from controlplane.gen.steplane.v1 import event_pb2, event_pb2_grpc, run_pb2, run_pb2_grpc, work_pb2
from tests.compatibility.hand import LARGE, Hand, completed, ended
from tests.compatibility.recording import FOLDER, Contract, Recording, descriptors_of
from tests.compatibility.relay import Relay
from tests.compatibility.server import serve

FLAGS = [
    *("--heartbeat-interval", "1s", "--session-timeout", "60s", "--session-grace", "60s"),
    *("--event-bytes-max", "32KiB", "--batch-bytes-max", "64KiB", "--step-output-bytes-max", "32KiB"),
    *("--frame-bytes-max", "160KiB"),
]
MOMENT = 981173106


class Recorder:
    """Plays what is to be recorded: one scene after the other, so that in each replay things come in the same order."""

    def __init__(self, relay: Relay, folder: Path) -> None:
        self.relay = relay
        self._folder = folder
        self._channel = aio.insecure_channel(relay.address)
        self._events = event_pb2_grpc.EventServiceStub(self._channel)
        self._runs = run_pb2_grpc.RunServiceStub(self._channel)

    async def play(self) -> None:
        """All scenes."""
        async with self._worker() as first:
            await self.relay.told("welcome")
            await self._scenes_of_steps()
            await self._scenes_of_waits()
            await self._scenes_of_trouble()
            await self._send("released", {})
            await self.relay.told("acks", "released", "before#0")
            first.send_signal(signal.SIGTERM)
        async with self._worker() as second:
            await self.relay.told("invocations", "released", times=2)
            self._open("released")
            await self._ended("released", outcomes=1)
            second.send_signal(signal.SIGTERM)
        await self._scene_of_refusals()
        await self._scene_of_a_large_journal()
        await self._scene_of_single_calls()
        await self._scene_of_a_server_that_leaves()
        await self._channel.close()

    async def _scenes_of_steps(self) -> None:
        await self._send("steps", {"n": 1})
        await self._ended("steps", outcomes=3)
        await self._ended("child", outcomes=1)
        await self._send("fails", {})
        await self._ended("fails", outcomes=2)
        await self._ended("fails-on-failure", outcomes=1)
        await self._send("later", {})
        await self._ended("later", outcomes=2)
        await self._send("sleeper", {})
        await self._ended("sleeper", outcomes=2)
        await self._send("branches", {"n": 5})
        await self.relay.told("resolutions", "branches", "nap#0")
        await self._send("answer", {"n": 4})
        await self._send("answer", {"n": 5}, suffix="right")
        await self.relay.told("resolutions", "branches", "wait#0")
        self._open("branches")
        await self._ended("branches", outcomes=1)
        await self._send_batch("batched", 3)
        await self._ended("batched", outcomes=1)

    async def _scenes_of_waits(self) -> None:
        await self._send("waiter", {"n": 1})
        await self.relay.told("acks", "waiter")
        await self._send("two", {})
        await self._send("one", {"n": 2})
        await self._ended("waiter", outcomes=3)
        await self._send("caller", {})
        await self.relay.told("acks", "caller")
        await self.relay.told("invocations", "callee")
        self._open("callee")
        await self._ended("callee", outcomes=1)
        await self._ended("caller", outcomes=2)
        await self._send("listener", {})
        await self.relay.told("acks", "listener")
        await self._send("signaller", {})
        await self._ended("signaller", outcomes=1)
        await self.relay.told("acks", "listener", times=2)
        await self._ended("listener", outcomes=3)
        await self._send("racer", {})
        await self._ended("racer", outcomes=2)

    async def _scenes_of_trouble(self) -> None:
        await self._send("kept", {})
        await self.relay.told("invocations", "kept")
        self.relay.cut()
        await self.relay.told("welcome", times=2)
        self._open("kept")
        await self._ended("kept", outcomes=1)
        self.relay.lose("acks", "repeated", "once#0")
        await self._send("repeated", {})
        await self._ended("repeated", outcomes=1)
        await self._send("cancelled", {})
        await self.relay.told("invocations", "cancelled")
        await self._runs.CancelRun(run_pb2.CancelRunRequest(run_id=self.relay.run_of("cancelled"), reason="not wanted"))
        await self.relay.told("cancellations", "cancelled")
        await self._look_at("cancelled")

    async def _scene_of_refusals(self) -> None:
        async with self._hand("refused") as hand:
            await self._send("refused", {})
            await hand.heard("invocations")
            await hand.report("a#0", **completed())
            await hand.heard("acks", "a#0")
            await hand.report("a#0", **completed())
            await hand.heard("acks", "a#0", times=2)
            reserved = event_pb2.Event(name="steplane/reserved")
            await hand.report("b#0", events_sent=work_pb2.EventsSent(events=[reserved]))
            await hand.heard("acks", "b#0")
            # It reports on a lease that it has handed back, beside the one that it was given then.
            await hand.release(1)
            await hand.heard("invocations", times=2)
            await hand.report("c#0", epoch=1, **completed())
            await hand.heard("acks", "c#0")
            await hand.beat(1, 2)
            await hand.report(epoch=2, **ended())
            await hand.heard("acks")
            await hand.report("d#0", epoch=2, **completed())
            await hand.heard("acks", "d#0")

    async def _scene_of_a_large_journal(self) -> None:
        async with self._hand("large") as hand:
            await self._send("large", {})
            await hand.heard("invocations")
            for number in range(6):
                await hand.report(f"a#{number}", **completed(LARGE))
                await hand.heard("acks", f"a#{number}")
            wait = work_pb2.WaitStarted(events=[work_pb2.WaitedEvent(event="recorded/go")])
            await hand.report("wait#0", wait_started=wait)
            await hand.report(run_parked=work_pb2.RunParked(blocked_by=["wait#0"]))
            await hand.heard("acks")
            await self._send("go", {})
            await hand.heard("journal_part")
            await hand.report(epoch=2, **ended())
            await hand.heard("acks", times=2)

    async def _scene_of_single_calls(self) -> None:
        hand = self._hand("polled")
        await hand.register()
        await self._send("polled", {"n": 1})
        await hand.poll()
        await hand.call(hand.fact("a#0", **completed()), hand.fact("a#0", **completed()))
        await hand.call(held=(1,))
        wait = work_pb2.WaitStarted(events=[work_pb2.WaitedEvent(event="recorded/go-on")])
        parked = work_pb2.RunParked(blocked_by=["wait#0"])
        await hand.call(hand.fact("wait#0", wait_started=wait), hand.fact(run_parked=parked))
        await self._send("go-on", {"n": 2})
        await hand.poll()
        await hand.call(hand.fact("b#0", epoch=1, **completed()), held=(1, 2))
        await hand.call(hand.fact(epoch=2, **ended()))
        await hand.call(hand.fact("b#0", epoch=2, **completed()), held=(2,))
        await self._look_at("polled")

    async def _scene_of_a_server_that_leaves(self) -> None:
        async with self._hand("left") as hand:
            await self._send("left", {})
            await hand.heard("invocations")
            self.relay.stop()
            await self.relay.told("drain")
            await hand.report(**ended())
            await hand.heard("acks")

    def _hand(self, function: str) -> Hand:
        return Hand(self.relay, self._channel, function)

    async def _ended(self, function: str, *, outcomes: int) -> None:
        """Wait until so many outcomes of a function's run are acknowledged: each park, failure and end is one."""
        await self.relay.told("acks", function, times=outcomes)
        await self._look_at(function)

    async def _look_at(self, function: str) -> None:
        run_id = self.relay.run_of(function)
        await self._runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))
        await self._runs.ListJournal(run_pb2.ListJournalRequest(run_id=run_id, page_size=1000))

    async def _send(self, name: str, data: dict[str, Any], *, suffix: str = "start") -> None:
        await self._events.SendEvents(event_pb2.SendEventsRequest(events=[_event(name, suffix, data)]))

    async def _send_batch(self, name: str, number: int) -> None:
        events = [_event(name, str(index), {"n": 2}) for index in range(number)]
        await self._events.SendEvents(event_pb2.SendEventsRequest(events=events))

    def _open(self, gate: str) -> None:
        (self._folder / gate).touch()

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """A worker that ends by itself once it is told so."""
        script = self._folder / "worker.py"
        shutil.copy(FOLDER / "worker.py", script)
        environment = {**os.environ, "STEPLANE_ADDRESS": self.relay.address, "GATES": str(self._folder)}
        process = await asyncio.create_subprocess_exec(sys.executable, script, env=environment, cwd=self._folder)
        try:
            yield process
            assert await asyncio.wait_for(process.wait(), 30) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _event(name: str, suffix: str, data: dict[str, Any]) -> event_pb2.Event:
    event = event_pb2.Event(name=f"recorded/{name}", id=f"{name}-{suffix}")
    event.ts.seconds = MOMENT
    event.data.data = json.dumps(data).encode()
    return event


def describe(path: Path) -> None:
    """Write down the contract of today."""
    proto = FOLDER.parents[1] / "proto"
    sources = sorted(str(each.relative_to(proto)) for each in proto.rglob("*.proto"))
    includes = [f"-I{proto}", f"-I{files('grpc_tools') / '_proto'}"]
    if protoc.main(["protoc", *includes, "--include_imports", f"--descriptor_set_out={path}", *sources]) != 0:
        sys.exit("protoc failed")


async def record(contract: Contract) -> Recording:
    """Play and write down."""
    with tempfile.TemporaryDirectory(prefix="steplane-recording-") as name, serve(Path(name), FLAGS) as server:
        relay = Relay(server, contract)
        await relay.start()
        recorder = Recorder(relay, Path(name))
        await recorder.play()
        await relay.close()
    functions = list(relay.runs.values())
    assert len(functions) == len(set(functions)), f"a function with two runs: {functions}"
    return Recording(FLAGS, relay.entries)


def main() -> None:
    """Record."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = FOLDER / f"{sys.argv[1]}.jsonl.gz"
    if path.exists():
        sys.exit(f"{path.name} is there already, and is never written again")
    descriptors = descriptors_of(path)
    describe(descriptors)
    asyncio.run(record(Contract(descriptors.read_bytes()))).save(path)


if __name__ == "__main__":
    main()
