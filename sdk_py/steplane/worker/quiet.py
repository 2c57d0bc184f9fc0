"""Whether anything can still happen in an async function whose steps are all blocked.

The rule. A function may be parked as soon as its task can only be woken by one of its blocked steps: because it awaits
one, or a `gather`, a `TaskGroup`, an `asyncio.wait` or a task of which the same is true. While one of these is about to
run, wait for that. If anything else is awaited (a network call outside of steps, a lock), the function keeps its slot,
and is looked at again after `LOOK_AGAIN_SECONDS`: to park it would cut that short, and leave what was to come after it
until some other branch wakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from enum import IntEnum
from typing import Any, Final

LOOK_AGAIN_SECONDS: Final = 0.25


_WAIT: Final = asyncio.wait.__code__
_GROUP_EXIT: Final = asyncio.TaskGroup.__aexit__.__code__


class Quiet(IntEnum):
    """What a function waits for. Of several, the least is what counts."""

    RUNNABLE = 1
    """For nothing: it is about to run."""
    UNKNOWN = 2
    """For something that is not ours."""
    BLOCKED = 3
    """For blocked steps only."""


def quiet(task: asyncio.Future[Any] | None, ours: AbstractSet[asyncio.Future[Any]]) -> Quiet:
    """What a task, or what it awaits, waits for."""
    if task is None or task.done():
        return Quiet.RUNNABLE
    if task in ours:
        return Quiet.BLOCKED
    if isinstance(task, asyncio.Task):
        # All three are implementation details of asyncio; without them all is UNKNOWN, which costs a slot, and no result.
        if not hasattr(task, "_fut_waiter"):
            return Quiet.UNKNOWN
        waiter = task._fut_waiter  # noqa: SLF001 asyncio shows it nowhere else
        if waiter is None or waiter.done():
            return Quiet.RUNNABLE
        if waiter in ours:
            return Quiet.BLOCKED
        children = _awaited_by(task)
        if children is None:
            return quiet(waiter, ours)
    else:
        children = getattr(task, "_children", None)
    if not children:
        return Quiet.UNKNOWN
    return _least(children, ours)


def _least(children: Iterable[asyncio.Future[Any]], ours: AbstractSet[asyncio.Future[Any]]) -> Quiet:
    """What the first to run of several waits for. There can be a thousand, most of which wait at a step, so these come first."""
    least = None
    for child in children:
        if child.done():
            continue
        waiter: Any = getattr(child, "_fut_waiter", None)
        found = Quiet.BLOCKED if waiter in ours and not waiter.done() else quiet(child, ours)
        if found is Quiet.RUNNABLE:
            return found
        if least is not Quiet.UNKNOWN:
            least = found
    return Quiet.RUNNABLE if least is None else least


def _awaited_by(task: asyncio.Task[Any]) -> Iterable[asyncio.Future[Any]] | None:
    """The tasks that a task awaits in a `TaskGroup` or in `asyncio.wait`; `None` if it is in neither."""
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        code = getattr(coroutine, "cr_code", None)
        if code is _WAIT:
            values = coroutine.cr_frame.f_locals
            # With a time-out the clock can wake it as well.
            return list(values["fs"]) if values["timeout"] is None else []
        if code is _GROUP_EXIT:
            return list(coroutine.cr_frame.f_locals["self"]._tasks)  # noqa: SLF001 the same
        coroutine = getattr(coroutine, "cr_await", None)
    return None
