"""Whether anything can still happen in an async function whose steps are all blocked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from steplane.worker.quiet import Quiet, quiet

Make: TypeAlias = Callable[[asyncio.Future[Any], asyncio.Future[Any]], Awaitable[Any]]
"""Code, made from a future that is ours, and one that is not."""


async def _wait(future: asyncio.Future[Any]) -> None:
    await future


async def _group(*futures: asyncio.Future[Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for future in futures:
            group.create_task(_wait(future))


async def _with_background(ours: asyncio.Future[Any], other: asyncio.Future[Any]) -> None:
    background = asyncio.create_task(_wait(other))
    await ours
    await background


CODE: list[tuple[str, Make, Quiet]] = [
    ("a step", lambda ours, other: _wait(ours), Quiet.BLOCKED),
    ("something else", lambda ours, other: _wait(other), Quiet.UNKNOWN),
    ("steps in a gather", lambda ours, other: asyncio.gather(_wait(ours), _wait(ours)), Quiet.BLOCKED),
    (
        "a gather in a gather",
        lambda ours, other: asyncio.gather(asyncio.gather(_wait(ours)), _wait(ours)),
        Quiet.BLOCKED,
    ),
    ("a gather with something else", lambda ours, other: asyncio.gather(_wait(ours), _wait(other)), Quiet.UNKNOWN),
    ("a task that waits for a step", lambda ours, other: asyncio.create_task(_wait(ours)), Quiet.BLOCKED),
    ("a task group", lambda ours, other: _group(ours, ours), Quiet.BLOCKED),
    ("a task group with something else", _group, Quiet.UNKNOWN),
    ("asyncio.wait", lambda ours, other: asyncio.wait([asyncio.ensure_future(ours)]), Quiet.BLOCKED),
    ("asyncio.wait with something else", lambda ours, other: asyncio.wait([ours, other]), Quiet.UNKNOWN),
    ("asyncio.wait until a moment", lambda ours, other: asyncio.wait([ours], timeout=60), Quiet.UNKNOWN),
    ("a step, with something in the background", _with_background, Quiet.BLOCKED),
]


@pytest.fixture
async def futures() -> AsyncIterator[tuple[asyncio.Future[Any], asyncio.Future[Any]]]:
    """One that is ours, and one that is not."""
    loop = asyncio.get_running_loop()
    ours, other = loop.create_future(), loop.create_future()
    yield ours, other
    ours.cancel()
    other.cancel()


@pytest.mark.parametrize(("make", "expected"), [each[1:] for each in CODE], ids=[each[0] for each in CODE])
async def test_what_code_waits_for(
    make: Make, expected: Quiet, futures: tuple[asyncio.Future[Any], asyncio.Future[Any]]
) -> None:
    """It is blocked if steps alone can wake it, and otherwise unknown; before it has come to rest it is runnable."""

    async def code() -> None:
        await make(*futures)

    task = asyncio.create_task(code())
    assert quiet(task, {futures[0]}) is Quiet.RUNNABLE
    while quiet(task, {futures[0]}) is Quiet.RUNNABLE:  # noqa: ASYNC110 a round of the loop is what it waits for
        await asyncio.sleep(0)
    assert quiet(task, {futures[0]}) is expected
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_branch_that_is_about_to_run_counts() -> None:
    """One finished branch of a gather does not block; one that was woken is about to run."""
    loop = asyncio.get_running_loop()
    ours, other = loop.create_future(), loop.create_future()
    task = asyncio.ensure_future(asyncio.gather(_wait(ours), _wait(other)))
    await asyncio.sleep(0)
    assert quiet(task, {ours}) is Quiet.UNKNOWN
    other.set_result(None)
    assert quiet(task, {ours}) is Quiet.RUNNABLE
    await asyncio.sleep(0)
    assert quiet(task, {ours}) is Quiet.BLOCKED
    ours.set_result(None)
    await task
