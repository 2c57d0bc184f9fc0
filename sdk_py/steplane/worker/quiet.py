"""Whether anything can still happen in an async function whose steps are all blocked.

The rule. A function may be parked as soon as its task can only be woken by one of its blocked steps: because it awaits
one, or a `gather` or a task of which the same is true. While one of these is about to run, wait for that. If anything
else is awaited (a network call outside of steps, a lock, a `TaskGroup`, all of which look alike from here), give it
`GRACE_SECONDS` to get on, and park if it did not.

What is parked too early is not lost, since nothing recorded is: the function is replayed when a step wakes, and what it
did outside of steps is done again. And it gets on: every parking ends with a step that is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from enum import IntEnum
from typing import Any, Final

GRACE_SECONDS: Final = 0.1


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
        # Both are implementation details of asyncio; without them all is UNKNOWN, which is slower and no less right.
        return quiet(task._fut_waiter, ours) if hasattr(task, "_fut_waiter") else Quiet.UNKNOWN  # noqa: SLF001
    children = getattr(task, "_children", None)
    if not children:
        return Quiet.UNKNOWN
    return min(
        (quiet(child, ours) for child in children if not child.done()),
        default=Quiet.RUNNABLE,
    )
