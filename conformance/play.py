"""Plays cases: those that harm nobody share one worker and play at once, the others have one each, a few at a time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from grpc.aio import AioRpcError

from conformance.case import Case
from conformance.check import problems_of
from conformance.rig import Rig
from conformance.stage import Server, StageError

#: Cases that play at once, of those with workers of their own: more would only wait for a processor.
_ALONE_AT_ONCE: Final = 4


@dataclass(frozen=True)
class Result:
    """What became of a case."""

    case: Case
    problems: Sequence[str]
    """Empty if it passed."""
    seconds: float


async def play(command: str, cases: Sequence[Case]) -> AsyncIterator[Result]:
    """Play all cases against a worker, which is a command line; yield their results as they come. Raises `StageError`."""
    with tempfile.TemporaryDirectory(prefix="steplane-conformance-") as name:
        results: asyncio.Queue[Result] = asyncio.Queue()
        playing = asyncio.ensure_future(_play_all(command, cases, Path(name), results))
        for _ in cases:
            waiting = asyncio.ensure_future(results.get())
            await asyncio.wait([waiting, playing], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                await playing
            yield await waiting
        await playing


async def _play_all(command: str, cases: Sequence[Case], folder: Path, results: asyncio.Queue[Result]) -> None:
    async with AsyncExitStack() as stack:
        servers = {
            is_patient: await stack.enter_async_context(_server(folder / f"server-{is_patient}", is_patient=is_patient))
            for is_patient in {case.is_patient for case in cases if not case.breaks_server}
        }
        places = asyncio.Semaphore(_ALONE_AT_ONCE)

        async def alone(case: Case) -> None:
            async with places:
                results.put_nowait(await _play_alone(command, case, servers.get(case.is_patient), folder))

        shared = [case for case in cases if not case.is_alone]
        async with asyncio.TaskGroup() as group:
            if shared:
                group.create_task(_play_shared(command, shared, servers[True], folder, results))
            for case in cases:
                if case.is_alone:
                    group.create_task(alone(case))


async def _play_shared(
    command: str, cases: Sequence[Case], server: Server, folder: Path, results: asyncio.Queue[Result]
) -> None:
    rig = Rig(command, server, cases, folder / "shared")
    try:
        async with rig:
            played = await asyncio.gather(*(_play_case(case, rig) for case in cases))
    except StageError as error:
        played = [Result(case, [str(error)], 0.0) for case in cases]
    # What is about no run in particular is told with the last case.
    for result in (*played[:-1], _with(played[-1], rig)):
        results.put_nowait(result)


async def _play_alone(command: str, case: Case, server: Server | None, folder: Path) -> Result:
    async with AsyncExitStack() as stack:
        if case.breaks_server:
            own = _server(folder / f"server-{case.name}", is_patient=case.is_patient)
            server = await stack.enter_async_context(own)
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
        problems = [f"it did not end in time; {rig.words()}"]
    except (StageError, AioRpcError) as error:
        problems = [f"{error}; {rig.words()}"]
    return Result(case, problems, monotonic() - begin)


def _with(result: Result, rig: Rig) -> Result:
    """The result, with what is wrong with its rig as a whole."""
    general = [text for run_id, text in rig.referee.problems if not run_id]
    return Result(result.case, [*result.problems, *rig.problems, *general], result.seconds)


@asynccontextmanager
async def _server(folder: Path, *, is_patient: bool) -> AsyncIterator[Server]:
    server = Server(folder, is_patient=is_patient)
    await server.start()
    try:
        yield server
    finally:
        await server.end()
