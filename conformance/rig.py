"""A rig: a server, the worker under test with a relay before it, and those that take its place, for one or more cases."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import grpc
from grpc import aio

from conformance.case import Case, Fault
from conformance.faults import Faults
from conformance.pulse import Pulse
from conformance.referee import Referee
from conformance.relay import Relay
from conformance.stage import (
    END_SECONDS_MAX,
    RECONNECTS_SOON,
    START_SECONDS_MAX,
    Program,
    Server,
    StageError,
    start_worker,
)
from conformance.transcript import Transcript
from controlplane.gen.steplane.v1 import (
    event_pb2,
    event_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)

#: A case has failed when nothing new of it passed for so long. However slow a machine is, something does.
SILENCE_SECONDS_MAX: Final = 30
#: What passes no relay, such as a cancellation, is looked for so often.
_LOOK_SECONDS: Final = 0.5
_LOOK_SECONDS_MIN: Final = 0.05
SHARED_SLOTS: Final = 40
ALONE_SLOTS: Final = 4
_NOT_ANSWERED: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_Answer = TypeVar("_Answer")
_ENDED: Final = (
    run_pb2.RUN_STATE_COMPLETED,
    run_pb2.RUN_STATE_FAILED,
    run_pb2.RUN_STATE_CANCELLED,
    run_pb2.RUN_STATE_SKIPPED,
)


class Rig:
    """Use it as an async context: it starts the first worker, and stops all of them in the end."""

    def __init__(self, command: str, server: Server, cases: Sequence[Case], folder: Path) -> None:
        folder.mkdir()
        self.problems: list[str] = []
        """What went wrong beside the runs: a worker that ended by itself, or not when it had to."""
        self._command = command
        self._server = server
        self._cases = cases
        self._folder = folder
        self._slots = ALONE_SLOTS if cases[0].is_alone else SHARED_SLOTS
        self.referee = Referee(self._slots)
        self._pulse = Pulse(cases)
        self.faults = Faults(cases, self._pulse)
        self._transcript = Transcript(folder / "frames.txt")
        self._is_stuck = False
        """Whether something was waited for in vain: then nobody waits for the end of its workers either."""
        self._workers: list[Program] = []
        self._relays: list[Relay] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._channel = aio.insecure_channel(server.address, options=RECONNECTS_SOON)
        self._events = event_pb2_grpc.EventServiceStub(self._channel)
        self._runs = run_pb2_grpc.RunServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        try:
            await self._start_worker([each for case in self._cases for each in case.functions])
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop what is there, once all that faults began is done."""
        await asyncio.gather(*self._tasks)
        for worker in self._workers:
            if worker.is_alive and self._is_stuck:
                await worker.end(signal.SIGKILL)
            elif worker.is_alive:
                worker.kill(signal.SIGCONT)
                worker.kill(signal.SIGTERM)
                await self._leave(worker)
        for relay in self._relays:
            await relay.close()
        self._relays.clear()
        self._transcript.close()
        await self._channel.close()

    async def play(self, case: Case) -> list[run_pb2.GetLineageResponse]:
        """Send the case's events and wait for all that it expects; what came of each event. Raises `TimeoutError`."""
        answer = await self._send(case.send)
        self._pulse.begin(case)
        while not _is_over(case, lineages := [await self._lineage(each) for each in dict.fromkeys(answer.ids)]):
            self._look_after_workers()
            await self._wait(case)
        await asyncio.sleep(case.watch_seconds)
        return lineages

    async def _wait(self, case: Case) -> None:
        """Wait until something of the case happened, for a moment. Raises `TimeoutError` if nothing does for long."""
        if self._pulse.silence(case) > SILENCE_SECONDS_MAX:
            self._is_stuck = True
            raise TimeoutError
        await asyncio.sleep(_LOOK_SECONDS_MIN)
        await self._pulse.next(case, seconds=_LOOK_SECONDS)

    async def run(self, run_id: str) -> run_pb2.Run:
        """A run with its output."""
        request = run_pb2.GetRunRequest(run_id=run_id)
        answer: run_pb2.GetRunResponse = await _asked(lambda: self._runs.GetRun(request))
        return answer.run

    async def journal(self, run_id: str) -> dict[str, run_pb2.JournalEntry]:
        """The recorded steps of a run, with their outputs, by their keys."""
        request = run_pb2.ListJournalRequest(run_id=run_id, page_size=1000)
        answer = await _asked(lambda: self._runs.ListJournal(request))
        return {entry.step_key: entry for entry in answer.entries}

    async def moments_left(self, case: Case) -> list[str]:
        """The moments of faults that do not come, though all that was expected of the case has."""
        with suppress(TimeoutError):
            while self.faults.left(case):
                await self._wait(case)
        return [fault.moment for fault in self.faults.left(case)]

    def words(self) -> str:
        """What the workers wrote last."""
        return "\n".join(f"worker {number}: {worker.last_words()}" for number, worker in enumerate(self._workers, 1))

    async def _send(self, events: Sequence[Any]) -> event_pb2.SendEventsResponse:
        request = event_pb2.SendEventsRequest()
        for each in events:
            data = event_pb2.Event(name=each["name"], id=each.get("id", ""))
            data.data.data = json.dumps(each.get("data", {})).encode()
            if "traceparent" in each:
                data.traceparent = each["traceparent"]
            request.events.append(data)
        return await _asked(lambda: self._events.SendEvents(request))

    async def _lineage(self, event_id: str) -> run_pb2.GetLineageResponse:
        return await _asked(lambda: self._runs.GetLineage(run_pb2.GetLineageRequest(event_id=event_id)))

    # What faults do.

    def _act(self, fault: Fault, run_id: str) -> None:
        """Do at once what has to be done before the next item, and leave the rest to a task."""
        worker = self._workers[-1]
        match fault.action:
            case "cancel run":
                self._begin(self._cancel(run_id))
            case "send":
                self._begin(self._send_later(fault))
            case "cut":
                self._relays[-1].cut()
            case "drain server":
                self._begin(self._restart_server(signal.SIGTERM))
            case "kill server":
                self._begin(self._restart_server(signal.SIGKILL))
            case "kill worker":
                worker.kill(signal.SIGKILL)
                self._begin(self._replace(worker))
            case "stop worker":
                worker.kill(signal.SIGTERM)
                self._begin(self._replace_stopped(worker))
            case "freeze worker":
                worker.kill(signal.SIGSTOP)
                self._begin(self._freeze(worker, run_id))
            case _:
                pass  # the relay does it

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.ensure_future(self._watched(work)))

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (StageError, TimeoutError, aio.AioRpcError) as error:
            self.problems.append(str(error) or type(error).__name__)

    async def _cancel(self, run_id: str) -> None:
        await self._runs.CancelRun(run_pb2.CancelRunRequest(run_id=run_id))

    async def _send_later(self, fault: Fault) -> None:
        await self._send(fault.events)

    async def _restart_server(self, number: signal.Signals) -> None:
        await self._server.end(number)
        await self._server.start()
        self._pulse.beat_all()

    async def _replace(self, worker: Program) -> None:
        await worker.wait()
        await self._start_replacement()

    async def _replace_stopped(self, worker: Program) -> None:
        await self._start_replacement()
        await self._leave(worker)

    async def _freeze(self, worker: Program, run_id: str) -> None:
        await self._start_replacement()
        try:
            while (await self.run(run_id)).state not in _ENDED:
                await self._wait(self._cases[0])
        finally:
            worker.kill(signal.SIGCONT)

    # Workers.

    async def _start_replacement(self) -> None:
        await self._start_worker([each for case in self._cases for each in case.redeployed])

    async def _start_worker(self, functions: Sequence[Any]) -> None:
        number = len(self._workers) + 1
        relay = Relay(
            self._server.address,
            worker=number,
            faults=self.faults,
            referee=self.referee,
            transcript=self._transcript,
            act=self._act,
        )
        await relay.start()
        self._relays.append(relay)
        app_id = "conformance" if len(self._cases) > 1 else self._cases[0].name
        worker = await start_worker(
            self._command,
            self._folder,
            number=number,
            address=relay.address,
            app_id=app_id,
            slots=self._slots,
            functions=functions,
        )
        self._workers.append(worker)
        await self._met(relay, worker)

    async def _met(self, relay: Relay, worker: Program) -> None:
        """Wait until it has registered its functions and has its stream."""
        met, ended = asyncio.ensure_future(relay.is_met.wait()), asyncio.ensure_future(worker.wait())
        await asyncio.wait([met, ended], timeout=START_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        met.cancel()
        ended.cancel()
        if not relay.is_met.is_set():
            what = "did not open a stream in time" if worker.is_alive else "ended before it had a stream"
            raise StageError(f"the worker {what}; {worker.last_words()}")
        self._pulse.beat_all()

    async def _leave(self, worker: Program) -> None:
        """It was told to go: it has to end by itself, with status 0."""
        try:
            status = await worker.ended()
        except StageError as error:
            self.problems.append(f"a worker under SIGTERM: {error}")
            return
        if status != 0:
            self.problems.append(f"a worker ended with {status} after SIGTERM; {worker.last_words()}")

    def _look_after_workers(self) -> None:
        if not any(worker.is_alive for worker in self._workers) and not any(not task.done() for task in self._tasks):
            raise StageError("the worker ended by itself")


async def _asked(call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """The answer of a server that may just be starting again. Raises `TimeoutError` if it does not."""
    async with asyncio.timeout(END_SECONDS_MAX + START_SECONDS_MAX):
        while True:
            try:
                return await call()
            except aio.AioRpcError as error:
                if error.code() not in _NOT_ANSWERED:
                    raise
            await asyncio.sleep(0.05)


def _is_over(case: Case, lineages: Sequence[run_pb2.GetLineageResponse]) -> bool:
    """Whether all runs that are expected are there, and none of those that are there goes on."""
    runs = {run.id: run for lineage in lineages for run in lineage.runs}
    return len(runs) >= len(case.runs) and all(run.state in _ENDED for run in runs.values())
