"""Watching one run: it is read when a commit may have changed it, and sent when it did."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from controlplane.core.states import ENDED
from controlplane.engine.hub import RunHub
from controlplane.errors import Stopping
from controlplane.store.interface import RunView


async def watch_run(hub: RunHub, run_id: str, read: Callable[[], Awaitable[RunView]]) -> AsyncGenerator[RunView, None]:
    """The run as it is now, and again whenever it was changed, until it has ended.

    Changes that come faster than the watcher takes them are seen as one. Raises `Stopping` when the hub is closed, and what
    `read` raises.
    """
    with hub.watch(run_id) as changed:
        before: RunView | None = None
        while True:
            # Cleared before reading: a commit that comes while we read sets it again.
            changed.clear()
            view = await read()
            if view != before:
                yield view
            if view.run.state in ENDED:
                return
            if hub.is_closed:
                raise Stopping("the server is stopping")
            before = view
            await changed.wait()
