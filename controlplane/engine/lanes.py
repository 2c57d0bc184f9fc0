"""Which lanes may have runs to hand out, and how many places under concurrency limits are taken.

This is memory, changed in place while a turn is decided; after a turn that failed it is read anew from the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controlplane.core.records import RunRow
from controlplane.core.states import ENDED, RunState
from controlplane.store.interface import Tx


class Lanes:
    """The lanes of each function, the one that is to go first at the front; functions likewise."""

    def __init__(self, ready: Iterable[tuple[int, int]] = (), holders: Iterable[RunRow] = ()) -> None:
        self._ready: dict[int, dict[int, None]] = {}
        self._used: dict[int, int] = {}
        self._held: dict[str, tuple[int, ...]] = {}
        self._blocked: dict[int, dict[tuple[int, int], None]] = {}
        self._freed: set[int] = set()
        """Places that became free while lanes were blocked by them."""
        self._throttled: set[tuple[int, int]] = set()
        for function_key, lane in ready:
            self._add(function_key, lane)
        self.note(*holders)

    @classmethod
    def rebuild(cls, tx: Tx) -> Lanes:
        """What the store says."""
        return cls(tx.lanes_ready(), tx.runs_in_flow())

    @property
    def functions(self) -> list[int]:
        """The functions that may have runs to hand out, the one that is to go first at the front."""
        return list(self._ready)

    def note(self, *runs: RunRow) -> None:
        """These runs are new, or have changed."""
        queued = RunState.QUEUED
        for run in runs:
            if run.state is queued:
                self._add(run.function_key, run.lane)
            if run.extra is not None and run.extra.slots:
                self._hold(run.id, _held_by(run))

    def first(self, function_key: int, count: int) -> list[int]:
        """The function's next lanes."""
        lanes = self._ready.get(function_key)
        if lanes is None:
            return []
        if len(lanes) <= count:
            return list(lanes)
        return [lane for lane, _ in zip(lanes, range(count), strict=False)]

    def turn_over(self, function_key: int, lane: int, *, is_empty: bool) -> None:
        """A lane was given something: it goes to the end of its function's turns, or has nothing left."""
        lanes = self._ready.get(function_key)
        if lanes is None or lane not in lanes:
            return
        if len(lanes) > 1 or is_empty:
            del lanes[lane]
            if not is_empty:
                lanes[lane] = None
        if not lanes:
            del self._ready[function_key]

    def to_the_end(self, function_key: int) -> None:
        """A function was given something: it goes to the end of the turns."""
        lanes = self._ready.pop(function_key, None)
        if lanes is not None:
            self._ready[function_key] = lanes

    def room(self, slot: int, limit: int) -> int:
        """How many more may have a place."""
        return limit - self._used.get(slot, 0)

    def holds(self, run_id: str, slot: int) -> bool:
        """Whether a run has that place."""
        return slot in self._held.get(run_id, ())

    def block(self, function_key: int, lane: int, slot: int) -> None:
        """A lane waits for a place; nobody is to look for that again before one is free."""
        self._freed.discard(slot)
        self._blocked.setdefault(slot, {})[function_key, lane] = None
        self.turn_over(function_key, lane, is_empty=True)

    def throttle(self, function_key: int, lane: int) -> bool:
        """A lane waits for its timer. Whether it did not before."""
        self.turn_over(function_key, lane, is_empty=True)
        is_new = (function_key, lane) not in self._throttled
        self._throttled.add((function_key, lane))
        return is_new

    def let_go_on(self, function_key: int, lane: int) -> None:
        """The timer of a throttled lane has come."""
        self._throttled.discard((function_key, lane))
        self._add(function_key, lane)

    def wake_blocked(self, limit_of: dict[int, int]) -> bool:
        """Let as many lanes look again as there are free places, in order. Whether there were any.

        `limit_of` tells the limits of places that were met; a place that is not there is taken as having one.
        """
        woken = False
        for slot in list(self._freed):
            lanes = self._blocked.get(slot, {})
            room = max(1, self.room(slot, limit_of.get(slot, self._used.get(slot, 0) + 1)))
            for function_key, lane in [key for key, _ in zip(lanes, range(room), strict=False)]:
                del lanes[function_key, lane]
                self._add(function_key, lane)
                woken = True
            if not lanes:
                self._blocked.pop(slot, None)
                self._freed.discard(slot)
        return woken

    def _add(self, function_key: int, lane: int) -> None:
        if self._throttled and (function_key, lane) in self._throttled:
            return
        lanes = self._ready.get(function_key)
        if lanes is None:
            self._ready[function_key] = {lane: None}
        else:
            lanes[lane] = None

    def _hold(self, run_id: str, slots: tuple[int, ...]) -> None:
        before = self._held.get(run_id, ())
        if slots == before:
            return
        for slot in before:
            left = self._used[slot] - 1
            if left:
                self._used[slot] = left
            else:
                del self._used[slot]
            if slot in self._blocked:
                self._freed.add(slot)
        for slot in slots:
            self._used[slot] = self._used.get(slot, 0) + 1
        if slots:
            self._held[run_id] = slots
        else:
            del self._held[run_id]


def _held_by(run: RunRow) -> tuple[int, ...]:
    """The places that a run has."""
    return tuple(_places(run))


def _places(run: RunRow) -> Iterator[int]:
    if run.extra is None or run.state in ENDED:
        return
    for slot in run.extra.slots:
        if run.state is RunState.RUNNING or (slot.holds_run and run.started_at is not None):
            yield slot.key
