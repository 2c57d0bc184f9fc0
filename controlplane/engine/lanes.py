"""Which lanes may have runs to hand out, what others wait for, and how many places under concurrency limits are taken.

A lane draws a number when it comes, as people do at a counter, and another one whenever it was given something. It keeps
its number while it waits for a place or for a throttle, so that nobody who comes later takes from it what it waits for.

This is memory, changed in place while a turn is decided; after a turn that failed it is read anew from the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Final, TypeAlias, TypeVar

from controlplane.core.match import FunctionTable
from controlplane.core.records import RunRow
from controlplane.core.states import ENDED, RunState
from controlplane.store.interface import Tx

#: A function's key, and the lane.
Lane: TypeAlias = tuple[int, int]
#: What lanes wait for: a slot's key and the limit that it is under, or a function's key and the hash of a throttle's.
_Reason: TypeAlias = tuple[int, int, int]
_PLACE: Final = 0
_THROTTLE: Final = 1

_place_in_queue: Final = attrgetter("queued_at", "id")

_K = TypeVar("_K", int, Lane)
#: So many entries of lanes that are gone may a heap have beside those that count.
_STALE_MAX = 64


class Line(dict[_K, int]):
    """Lanes and their numbers; the lowest one is first."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[int, _K]] = []

    def put(self, lane: _K, number: int) -> None:
        """Let a lane stand in line. To take one out, delete it."""
        self[lane] = number
        heappush(self._heap, (number, lane))
        if len(self._heap) > 2 * len(self) + _STALE_MAX:
            self._heap = [(number, lane) for lane, number in self.items()]
            heapify(self._heap)

    def first(self, count: int) -> list[_K]:
        """The first lanes, which stay in line."""
        if len(self) <= count:
            return list(self) if len(self) == 1 else sorted(self, key=self.__getitem__)
        found: list[tuple[int, _K]] = []
        while len(found) < count:
            entry = heappop(self._heap)
            if self.get(entry[1]) == entry[0] and (not found or found[-1] != entry):
                found.append(entry)
        for entry in found:
            heappush(self._heap, entry)
        return [lane for _, lane in found]


class Lanes:
    """The lanes of each function, the one that is to go first at the front; functions likewise."""

    def __init__(self, ready: Iterable[Lane] = (), holders: Iterable[RunRow] = ()) -> None:
        self._ready: dict[int, Line[int]] = {}
        self._blocked: dict[_Reason, Line[Lane]] = {}
        """Who waits, by what for."""
        self._waits: dict[Lane, _Reason] = {}
        self._limits: dict[int, set[int]] = {}
        """Under which limits lanes wait for a slot: functions that share one may each have their own."""
        self._freed: set[int] = set()
        """Slots that became free while lanes waited for them."""
        self._passing: set[Lane] = set()
        """Throttles whose timer has come: a function's key, and the hash of the throttle's."""
        self._throttled: set[Lane] = set()
        """Throttles whose timer is to come."""
        self._used: dict[int, int] = {}
        self._held: dict[str, tuple[int, ...]] = {}
        self._numbers = 0
        self._functions: FunctionTable | None = None
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
        """These runs are new, or have changed. Lanes come in the order in which their first runs were queued."""
        queued = RunState.QUEUED
        coming = []
        for run in runs:
            if run.state is queued:
                lanes = self._ready.get(run.function_key)
                if lanes is None or run.lane not in lanes:
                    coming.append(run)
            if run.extra is not None and run.extra.slots:
                self._hold(run.id, _held_by(run))
        if len(coming) > 1:
            coming.sort(key=_place_in_queue)
        for run in coming:
            self._add(run.function_key, run.lane)

    def see(self, functions: FunctionTable) -> None:
        """Let lanes look again whose functions have other options than when they began to wait."""
        before, self._functions = self._functions, functions
        if before is None or before is functions:
            return

        def has_changed(function_key: int) -> bool:
            return functions.by_key[function_key].definition.options != before.by_key[function_key].definition.options

        changed = {key for key in {function_key for function_key, _ in self._waits} if has_changed(key)}
        if changed:
            self._throttled = {throttle for throttle in self._throttled if throttle[0] not in changed}
            for lane in [lane for lane in self._waits if lane[0] in changed]:
                self._unblock(lane)

    def first(self, function_key: int, count: int) -> list[int]:
        """The function's next lanes."""
        lanes = self._ready.get(function_key)
        return [] if lanes is None else lanes.first(count)

    def draw(self, function_key: int, lane: int) -> None:
        """A lane was given something: all others of its function are before it now."""
        lanes = self._ready[function_key]
        if len(lanes) > 1:
            lanes.put(lane, self._next_number())

    def drop(self, function_key: int, lane: int) -> None:
        """A lane has nothing left."""
        self._take_out(function_key, lane)

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

    def block(self, function_key: int, lane: int, slot: int, limit: int) -> None:
        """A lane waits for a place; nobody is to look for that again before one is free."""
        self._limits.setdefault(slot, set()).add(limit)
        self._wait(function_key, lane, (_PLACE, slot, limit))

    def is_throttled(self, function_key: int, throttle: int) -> bool:
        """Whether others wait for the next start that a throttle lets through."""
        return (function_key, throttle) in self._throttled

    def throttle(self, function_key: int, lane: int, throttle: int) -> bool:
        """A lane waits for a throttle. Whether that needs a timer: one is enough for all who do."""
        self._passing.discard((function_key, throttle))
        self._wait(function_key, lane, (_THROTTLE, function_key, throttle))
        is_new = (function_key, throttle) not in self._throttled
        self._throttled.add((function_key, throttle))
        return is_new

    def let_go_on(self, function_key: int, lane: int) -> None:
        """The timer of a throttled lane has come."""
        reason = self._waits.get((function_key, lane))
        if reason is not None and reason[0] == _THROTTLE:
            self._throttled.discard(reason[1:])
            self._passing.add(reason[1:])

    def wake(self, chances: int) -> bool:
        """Let lanes look again, in order, where what they wait for may be there. Whether there were any.

        As many as there are places, times `chances`: the first ones may have nothing left, or lack something else.
        """
        woken = 0
        for slot in list(self._freed):
            has_room = False
            for limit in list(self._limits.get(slot, ())):
                room = self.room(slot, limit)
                if room > 0:
                    has_room = True
                    woken += self._wake_first((_PLACE, slot, limit), room * chances)
            if not has_room or slot not in self._limits:
                self._freed.discard(slot)
        for throttle in list(self._passing):
            if not self._wake_first((_THROTTLE, *throttle), chances):
                self._passing.discard(throttle)
            else:
                woken += 1
        return woken > 0

    def _wake_first(self, reason: _Reason, count: int) -> int:
        line = self._blocked.get(reason)
        lanes = line.first(count) if line is not None else []
        for lane in lanes:
            self._unblock(lane)
        return len(lanes)

    def _wait(self, function_key: int, lane: int, reason: _Reason) -> None:
        line = self._blocked.get(reason)
        if line is None:
            line = self._blocked[reason] = Line()
        line.put((function_key, lane), self._take_out(function_key, lane))
        self._waits[function_key, lane] = reason

    def _unblock(self, lane: Lane) -> None:
        reason = self._waits.pop(lane)
        line = self._blocked[reason]
        self._put(*lane, line.pop(lane))
        if not line:
            del self._blocked[reason]
            if reason[0] == _PLACE:
                limits = self._limits[reason[1]]
                limits.discard(reason[2])
                if not limits:
                    del self._limits[reason[1]]

    def _add(self, function_key: int, lane: int) -> None:
        lanes = self._ready.get(function_key)
        if (lanes is None or lane not in lanes) and (function_key, lane) not in self._waits:
            self._put(function_key, lane, self._next_number())

    def _put(self, function_key: int, lane: int, number: int) -> None:
        lanes = self._ready.get(function_key)
        if lanes is None:
            lanes = self._ready[function_key] = Line()
        lanes.put(lane, number)

    def _take_out(self, function_key: int, lane: int) -> int:
        """A lane has nothing to be handed out for now; its number."""
        lanes = self._ready[function_key]
        number = lanes.pop(lane)
        if not lanes:
            del self._ready[function_key]
        return number

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

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
            if slot in self._limits:
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
