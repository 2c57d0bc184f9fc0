"""Plays cases: those that harm nobody share one worker, the others have one each. Only a few play at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from grpc.aio import AioRpcError

from conformance.case import Case, Patience
from conformance.check import problems_of
from conformance.rig import Rig
from conformance.stage import Server, StageError

#: Cases that play at once, of those that share a worker, and of those with one of their own. With more, each would wait
#: for the others, and what goes wrong in one would come with the noise of all.
_SHARED_AT_ONCE: Final = 12
_ALONE_AT_ONCE: Final = 4


@dataclass(frozen=True)
class Result:
    """What became of a case."""

    case: Case
    problems: Sequence[str]
    """Empty if it passed."""
    seconds: float


async def play(command: str, cases: Sequence[Case], folder: Path) -> AsyncIterator[Result]:
    """Play all cases against a worker, which is a command line; yield their results as they come.

    Logs, scripts and transcripts are in the folder then. Raises `StageError` if the play itself breaks down.
    """
    results: asyncio.Queue[Result] = asyncio.Queue()
    playing = asyncio.ensure_future(_play_all(command, cases, folder, results))
    try:
        for _ in cases:
            waiting = asyncio.ensure_future(results.get())
            await asyncio.wait([waiting, playing], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and results.empty():
                waiting.cancel()
                await playing
            yield await waiting
        await playing
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def _play_all(command: str, cases: Sequence[Case], folder: Path, results: asyncio.Queue[Result]) -> None:
    async with AsyncExitStack() as stack:
        servers = {
            patience: await stack.enter_async_context(_server(folder / f"server-{patience.name.lower()}", patience))
            for patience in {case.patience for case in cases if not case.breaks_server}
        }
        places = asyncio.Semaphore(_ALONE_AT_ONCE)

        async def alone(case: Case) -> None:
            async with places:
                results.put_nowait(await _play_alone(command, case, servers.get(case.patience), folder))

        shared = [case for case in cases if not case.is_alone]
        async with asyncio.TaskGroup() as group:
            # Those that are about patience take longest.
            for case in sorted(cases, key=lambda case: case.patience is not Patience.SHORT):
                if case.is_alone:
                    group.create_task(alone(case))
            if shared:
                group.create_task(_play_shared(command, shared, servers[Patience.LONG], folder, results))


async def _play_shared(
    command: str, cases: Sequence[Case], server: Server, folder: Path, results: asyncio.Queue[Result]
) -> None:
    rig, places = Rig(command, server, cases, folder / "shared"), asyncio.Semaphore(_SHARED_AT_ONCE)
    last: Result | None = None

    async def one(case: Case) -> Result:
        async with places:
            return await _play_case(case, rig)

    try:
        async with rig:
            for ended in asyncio.as_completed([one(case) for case in cases]):
                if last is not None:
                    results.put_nowait(last)
                last = await ended
    except StageError as error:
        for case in cases:
            results.put_nowait(Result(case, [str(error)], 0.0))
        return
    assert last is not None
    results.put_nowait(_with(last, rig))


async def _play_alone(command: str, case: Case, server: Server | None, folder: Path) -> Result:
    async with AsyncExitStack() as stack:
        if case.breaks_server:
            server = await stack.enter_async_context(_server(folder / f"server-{case.name}", case.patience))
        assert server is not None
        rig = Rig(command, server, [case], folder / case.name)
        try:
            async with rig:
                result = await _play_case(case, rig)
        except StageError as error:
            result = Result(case, [str(error)], 0.0)
        return _with(result, rig)


async def _play_case(case: Case, rig: Rig) -> Result:
    begin = monotonic()
    try:
        lineages = await rig.play(case)
        problems = await problems_of(case, lineages, rig)
        problems += [f"the moment of the fault at {moment!r} did not come" for moment in await rig.moments_left(case)]
    except TimeoutError:
        problems = [f"it did not end: nothing new happened any more; {rig.words()}"]
    except (StageError, AioRpcError) as error:
        problems = [f"{error}; {rig.words()}"]
    return Result(case, problems, monotonic() - begin)


def _with(result: Result, rig: Rig) -> Result:
    """The result, with what is wrong with its rig as a whole: of a shared one, that is told with the case that ends last."""
    general = [f"the worker as a whole: {text}" for text in [*rig.problems, *rig.referee.problems_of("")]]
    return Result(result.case, [*result.problems, *general], result.seconds)


@asynccontextmanager
async def _server(folder: Path, patience: Patience) -> AsyncIterator[Server]:
    server = Server(folder, patience)
    await server.start()
    try:
        yield server
    finally:
        await server.end()
