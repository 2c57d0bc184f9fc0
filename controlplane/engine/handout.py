"""Hands ready runs out to sessions with free slots, in the transaction that made them ready.

Functions take turns: each first gets an equal share of the free slots, then what is left, and the one that was given
something goes to the end. In a function its lanes do the same. A run takes its places under concurrency limits here, and
its place in the flow of a throttle.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from controlplane.core.definition import FunctionRow, FunctionState
from controlplane.core.dispatch import Taker, assign
from controlplane.core.flow import lane_timer, limit_of, take_throttle, throttled_until
from controlplane.core.limits import MIB
from controlplane.core.records import EventRow, Failure, FlowKind, FlowRow, Invocation, RunRow, TimerKind, TimerRow
from controlplane.core.states import RunChange, RunState, after

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn

#: Journals read in one turn, so that many large runs can't fill the memory at once.
_JOURNAL_BYTES_MAX = 64 * MIB
#: Runs handed out in one turn, each with an event of up to half a mebibyte.
_CLAIM_MAX = 500
#: The lane of runs without limits, or beyond them.
_FREE_LANE = 0
#: Lanes looked at in one go.
_LANES_MAX = 200
#: Runs of a lane that are read when it is first looked at: its limits may let few of them start. Then more and more.
_LOOK_MIN = 8


def hand_out(turn: Turn) -> None:
    """Lease what can be leased, write it, and add the invocations to the deliveries."""
    _HandOut(turn).run()


class _HandOut:
    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._lanes = turn.lanes
        self._takers: dict[str, Taker] = {}
        self._leased: list[RunRow] = []
        self._timers: list[TimerRow] = []
        self._flow: dict[tuple[int, FlowKind, int], FlowRow] = {}
        self._unwritten: dict[int, list[RunRow]] = {}
        """What was leased of each function, and is not written yet."""
        self._used_flow: set[tuple[int, FlowKind, int]] = set()
        self._left = _CLAIM_MAX
        self._journal_left = _JOURNAL_BYTES_MAX
        self._is_full = False
        """Whether as many journals are on their way as may be."""

    def run(self) -> None:
        """Go round until nobody can be given anything."""
        turn = self._turn
        self._lanes.see(turn.functions)
        chances = 1
        has_woken = self._lanes.wake(chances)
        self._takers = {session.row.id: Taker(session.row.id, session.free) for session in turn.sessions.free()}
        while self._count_free():
            serving = self._serving()
            if not serving and not has_woken:
                break
            self._share_out(serving)
            if self._left <= 0 or self._is_full:
                turn.has_more = True
                break
            # A lane that was woken for a free place may have had nothing for it: then the next ones are to look.
            chances *= 2
            has_woken = self._lanes.wake(chances)
        self._write()
        if self._used_flow:
            turn.tx.upsert_flow_rows([self._flow[key] for key in self._used_flow])
        if self._leased:
            self._invoke()
        if self._timers:
            turn.tx.insert_timers(self._timers)
            turn.timers_set.extend(timer.due_at for timer in self._timers)

    def _count_free(self) -> int:
        return sum([taker.free for taker in self._takers.values()])

    def _serving(self) -> dict[int, list[Taker]]:
        """The functions that are next, and who can take their runs: no more of them than could be given anything."""
        functions, sessions = self._turn.functions.by_key, self._turn.sessions
        served = [session.function_keys for session in sessions.free() if self._takers[session.row.id].free > 0]
        free = min(self._left, self._count_free())
        serving: dict[int, list[Taker]] = {}
        for function_key in self._lanes.functions:
            if not any(function_key in keys for keys in served):
                continue
            if functions[function_key].state is FunctionState.PAUSED:
                continue
            takers = [self._takers[session.row.id] for session in sessions.serving(function_key)]
            serving[function_key] = [taker for taker in takers if taker.free > 0]
            if len(serving) >= free:
                break
        return serving

    def _share_out(self, serving: dict[int, list[Taker]]) -> None:
        free = min(self._left, self._count_free())
        share = max(1, free // max(1, len(serving)))
        for most in (share, free) if len(serving) > 1 else (free,):
            for function_key, takers in serving.items():
                room = min(most, self._left, sum([taker.free for taker in takers]))
                if room > 0:
                    self._give(self._turn.functions.by_key[function_key], takers, room)

    def _give(self, function: FunctionRow, takers: list[Taker], room: int) -> None:
        """Lease up to `room` runs of a function, from its lanes in turn."""
        given, look = 0, _LOOK_MIN
        while given < room and (lanes := self._lanes.first(function.key, min(room - given, _LANES_MAX))):
            if function.key in self._unwritten:
                self._write()
            if lanes == [_FREE_LANE]:
                chosen = self._choose_free(function, room - given)
            else:
                chosen = self._choose(function, lanes, min(look, max(1, (room - given) // len(lanes))))
                look *= 4
            leased = self._with_time_out(function, assign(chosen, takers, self._turn.now))
            self._unwritten.setdefault(function.key, []).extend(leased)
            self._leased += leased
            given += len(leased)
            if self._is_full:
                break
        if given:
            self._lanes.to_the_end(function.key)
            self._left -= given

    def _with_time_out(self, function: FunctionRow, leased: list[RunRow]) -> list[RunRow]:
        """The runs with a timer by which they have to end, if they have just started."""
        finish = function.definition.options.timeouts.finish
        if finish is None:
            return leased
        due_at = self._turn.now + finish
        self._timers += [TimerRow(due_at, TimerKind.FINISH, run.id) for run in leased if run.epoch == 1]
        return [run._replace(has_timers=True) for run in leased]

    def _choose(self, function: FunctionRow, lanes: list[int], each: int) -> list[RunRow]:
        """Runs that may start, up to `each` of each lane. They have their places from here on."""
        by_lane: dict[int, list[RunRow]] = {lane: [] for lane in lanes}
        for run in self._turn.tx.claim_ready([(function.key, lane) for lane in lanes], each):
            by_lane[run.lane].append(run)
        self._load_throttles(function, by_lane)
        chosen: list[RunRow] = []
        for lane, runs in by_lane.items():
            is_first = True
            for run in runs:
                if not self._may_start(function, run):
                    break
                chosen.append(run)
                if is_first:
                    self._lanes.draw(function.key, lane)
                    is_first = False
            else:
                if len(runs) < each:
                    self._lanes.drop(function.key, lane)
            if self._is_full:
                break
        return chosen

    def _choose_free(self, function: FunctionRow, room: int) -> list[RunRow]:
        """The same for runs that nothing holds back: the hot path."""
        runs = self._turn.tx.claim_ready([(function.key, _FREE_LANE)], room)
        chosen = runs
        size = sum([run.journal_bytes for run in runs])
        if size > self._journal_left:
            chosen = list(takewhile(lambda run: self._may_start(function, run), runs))
        else:
            self._journal_left -= size
        if len(runs) < room and len(chosen) == len(runs):
            self._lanes.drop(function.key, _FREE_LANE)
        elif chosen:
            self._lanes.draw(function.key, _FREE_LANE)
        return chosen

    def _may_start(self, function: FunctionRow, run: RunRow) -> bool:
        """Whether a run may start now, which then counts as started; if not, its lane waits for what it lacks."""
        if self._journal_left < min(run.journal_bytes, _JOURNAL_BYTES_MAX):
            self._is_full = self._turn.has_more = True
            return False
        extra = run.extra
        if extra is not None and (extra.slots or extra.throttle is not None):
            for slot in extra.slots:
                limit = limit_of(function, slot)
                if limit is None or self._lanes.holds(run.id, slot.key):
                    continue
                if self._lanes.room(slot.key, limit) <= 0:
                    self._lanes.block(function.key, run.lane, slot.key, limit)
                    return False
            if not self._pass_throttle(function, run):
                return False
            self._lanes.note(run._replace(state=RunState.RUNNING, started_at=self._turn.now))
        self._journal_left -= run.journal_bytes
        return True

    def _pass_throttle(self, function: FunctionRow, run: RunRow) -> bool:
        throttle = function.definition.options.throttle
        if throttle is None or run.extra is None or run.extra.throttle is None or run.started_at is not None:
            return True
        now = self._turn.now
        key = (function.key, FlowKind.THROTTLE, run.extra.throttle)
        row = self._flow.get(key)
        until = throttled_until(throttle, row, now)
        if until is not None or self._lanes.is_throttled(function.key, run.extra.throttle):
            if self._lanes.throttle(function.key, run.lane, run.extra.throttle) and until is not None:
                self._timers.append(lane_timer(function.key, run.lane, until))
            return False
        self._flow[key] = take_throttle(throttle, key, row, now)
        self._used_flow.add(key)
        return True

    def _load_throttles(self, function: FunctionRow, by_lane: dict[int, list[RunRow]]) -> None:
        if function.definition.options.throttle is None:
            return
        keys = {
            (function.key, FlowKind.THROTTLE, run.extra.throttle)
            for runs in by_lane.values()
            for run in runs
            if run.extra is not None and run.extra.throttle is not None
        }
        missing = [key for key in keys if key not in self._flow]
        if missing:
            self._flow.update(self._turn.tx.flow_rows(missing))

    def _write(self) -> None:
        """Write what was leased so far."""
        rows = [run for runs in self._unwritten.values() for run in runs]
        self._unwritten.clear()
        if rows:
            self._turn.tx.update_runs(rows)

    def _invoke(self) -> None:
        turn = self._turn
        fresh = {event.key: event for event in turn.d.new_events}
        events: dict[int, EventRow] = fresh
        wanted = {run.event_key for run in self._leased if run.event_key not in fresh}
        for run in self._leased:
            if run.extra is not None:
                wanted.update(key for key in run.extra.more_events if key not in fresh)
        if wanted:
            events = fresh | turn.tx.events(wanted)
        journals = turn.tx.journals([run.id for run in self._leased if run.step_count])
        by_key = turn.functions.by_key
        for run in self._leased:
            event = events.get(run.event_key)
            if event is None:
                self._fail(run)
                continue
            its_events: tuple[EventRow, ...] = (event,)
            if run.extra is not None and run.extra.more_events:
                its_events += tuple([events[key] for key in run.extra.more_events if key in events])
            definition = by_key[run.function_key].definition
            session_id = run.session_id or ""
            turn.delivery(session_id).invocations.append(
                Invocation(
                    run,
                    definition.function_id,
                    its_events,
                    tuple(journals.get(run.id, ())),
                    definition.retry.retries + 1,
                )
            )
            session = turn.sessions.edit(session_id)
            if session is not None:
                session.invocations_sent += 1

    def _fail(self, run: RunRow) -> None:
        """End a run that can't be told what started it: it must not keep the others from being handed out.

        Whoever invoked it is named by that event alone, and so can't be told.
        """
        failure = Failure("EventLost", "the event that started the run is not in the store any more")
        state = after(run.state, RunChange.FAILED, run_id=run.id)
        ended = run._replace(state=state, session_id=None, ended_at=self._turn.now, failure=failure)
        self._turn.tx.update_runs([ended])
        self._turn.tx.delete_timers_of([run.id])
        self._turn.tx.delete_waits_of([run.id])
        self._lanes.note(ended)
