"""The engine without its thread: turns are taken one by one, at the moments of a clock that a test moves."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from typing_extensions import override

from controlplane.core.limits import SECOND
from controlplane.core.match import FunctionTable
from controlplane.core.records import Lease
from controlplane.core.waits import WaitShapes
from controlplane.engine import effects
from controlplane.engine.commands import Command, ExpireSessions, FireTimers, Heartbeat
from controlplane.engine.committer import rebuild
from controlplane.engine.lanes import Lanes
from controlplane.engine.outbox import Delivery
from controlplane.engine.sessions import Session, SessionTable
from controlplane.engine.settings import Settings
from controlplane.engine.turn import Memory, Turn, take_turn
from controlplane.store.interface import Store

START = 1_790_000_000 * SECOND
_TURNS_MAX = 100
_ID_BITS = 79


@dataclass
class Stream:
    """An outbox that keeps what it is given."""

    deliveries: list[Delivery] = field(default_factory=list)

    def deliver(self, delivery: Delivery) -> None:
        """Take one delivery."""
        self.deliveries.append(delivery)


class Chance(random.Random):
    """Chance, but for ids: those of one moment ascend from turn to turn, so that stories can tell of an order."""

    _turns = 0

    @override
    def getrandbits(self, k: int, /) -> int:
        """Count up for ids; else as ever."""
        if k != _ID_BITS:
            return super().getrandbits(k)
        self._turns += 1
        return self._turns << _ID_BITS // 2


class Driver:
    """One server on one store."""

    def __init__(self, store: Store, *, seed: int = 0, settings: Settings | None = None) -> None:
        self.store = store
        self.settings = settings or Settings()
        self.now = START
        self.memory = Memory(FunctionTable(()), SessionTable(), WaitShapes(), Lanes())
        self._rng = Chance(seed)
        self.restart()

    def restart(self) -> None:
        """Forget what is in memory, as a new process does."""
        with self.store.begin() as tx:
            self.memory = rebuild(tx, now=self.now, settings=self.settings)
            tx.commit()

    def take(self, *commands: Command) -> list[Turn]:
        """Do these commands in one turn, and what it left in further ones; their deliveries go out."""
        turns = [self._take(commands)]
        while turns[-1].has_more:
            assert len(turns) < _TURNS_MAX, "work is left for ever"
            turns.append(self._take(()))
        return turns

    def roll_back(self, *commands: Command) -> None:
        """Decide these commands, and commit nothing: the committer gives up a turn that broke."""
        with self.store.begin() as tx:
            take_turn(tx, commands, self.memory, self.settings, now=self.now, rng=self._rng)
        with self.store.begin() as tx:
            self.memory.lanes = Lanes.rebuild(tx)

    def crash(self, *commands: Command) -> None:
        """Do these commands, but be killed before the commit, and come up again."""
        self.roll_back(*commands)
        self.restart()

    def sessions(self) -> list[Session]:
        """All sessions."""
        return self.memory.sessions.expired(1 << 62)

    def next_moment(self) -> int | None:
        """When time has something to do: a timer is due, or a session is past its time."""
        with self.store.read() as reader:
            due_at = reader.next_due()
        moments = [session.row.expires_at for session in self.sessions()]
        return min(moments if due_at is None else [*moments, due_at], default=None)

    def beat(self) -> None:
        """Let the workers of all open streams send a heartbeat, with all that the server thinks they hold."""
        sessions = [session for session in self.sessions() if session.outbox is not None]
        with self.store.begin() as tx:
            runs = tx.runs_of_sessions([session.row.id for session in sessions])
        for session in sessions:
            held = tuple(Lease(run.id, run.epoch) for run in runs if run.session_id == session.row.id)
            self.take(Heartbeat(session_id=session.row.id, held=held))

    def pass_time(self) -> list[Turn]:
        """Do what time has to do now."""
        return self.take(FireTimers(limit=1_000), ExpireSessions())

    def _take(self, commands: tuple[Command, ...]) -> Turn:
        with self.store.begin() as tx:
            turn = take_turn(tx, commands, self.memory, self.settings, now=self.now, rng=self._rng)
            committed = effects.commit(tx, turn, self.memory, [(command, None) for command in commands])
        for outbox, delivery in committed.deliveries:
            outbox.deliver(delivery)
        return turn


def lanes_of(lanes: Lanes) -> set[tuple[int, int]]:
    """All lanes that are remembered: those that are ready, and those that wait for a place or for a timer."""
    ready = {(function_key, lane) for function_key, some in lanes._ready.items() for lane in some}
    return ready.union(*lanes._blocked.values()) | lanes._throttled
