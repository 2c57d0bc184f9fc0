"""Asks the store in threads, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from controlplane.store.interface import Reader, Store

_Answer = TypeVar("_Answer")


class Questions:
    """What services ask of the store."""

    def __init__(self, store: Store, readers: Executor) -> None:
        self._store = store
        self._readers = readers

    async def ask(self, question: Callable[[Reader], _Answer]) -> _Answer:
        """The answer to a question, from one consistent view."""

        def read() -> _Answer:
            with self._store.read() as reader:
                return question(reader)

        return await asyncio.get_running_loop().run_in_executor(self._readers, read)
