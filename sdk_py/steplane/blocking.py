"""One logic for `async def` and plain `def`: a coroutine whose awaits block instead of giving way."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in this thread. All that it awaits must block, and never give way to an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what a coroutine returns is its T
    coroutine.close()
    raise AssertionError(f"{coroutine!r} gave way to an event loop, where there is none")
