"""The order in which recorded results are given to the code: that in which the server recorded them."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

from steplane.replay.journal import Entry, StepState

C = TypeVar("C")

_ENDED: Final = (StepState.COMPLETED, StepState.FAILED)


class Order(Generic[C]):
    """Holds the calls of steps that have ended until it is their turn."""

    __slots__ = ("_due", "_heap", "_held", "_passed", "_ranks")

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Steps of the same moment are in the order of the journal."""
        ended = sorted((entry for entry in entries if entry.state in _ENDED), key=lambda entry: entry.ended_at)
        self._ranks = {entry.step_key: rank for rank, entry in enumerate(ended)}
        """The steps that have ended, each with how many did before it."""
        self._due = 0
        """The least rank whose turn is not over."""
        self._passed: set[int] = set()
        """Ranks above it whose turn is."""
        self._held: dict[int, C] = {}
        self._heap: list[int] = []
        """The ranks of what is held, and of what was let go before its turn."""

    @property
    def is_over(self) -> bool:
        """Whether every turn is over."""
        return self._due == len(self._ranks)

    @property
    def has_held(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    @property
    def first(self) -> C:
        """Of what is held, that whose turn comes first."""
        return self._held[self._least()]

    @property
    def is_next_held(self) -> bool:
        """Whether the one is held whose turn it is: of those before it, none can be asked for any more."""
        return bool(self._held) and self._least() == self._due

    def hold(self, step_key: str, call: C) -> bool:
        """Hold a call, if its step has ended. Whether it has."""
        rank = self._ranks.get(step_key)
        if rank is None:
            return False
        self._held[rank] = call
        heappush(self._heap, rank)
        return True

    def let_go(self, step_key: str) -> None:
        """Its turn is over."""
        rank = self._ranks[step_key]
        del self._held[rank]
        self._passed.add(rank)
        while self._due in self._passed:
            self._passed.discard(self._due)
            self._due += 1

    def _least(self) -> int:
        heap = self._heap
        while heap[0] not in self._held:
            heappop(heap)
        return heap[0]
