"""Open sessions and their slots: what the committer's thread knows of live workers.

Changes are made on copies and take effect with the commit of their turn. All of it can be rebuilt: after a restart the
sessions of the store have no stream, and their leases stand for the grace time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from controlplane.core.records import Lease, SessionRow
from controlplane.engine.outbox import Outbox


@dataclass(slots=True)
class Session:
    """One session. Without an outbox it has no stream and no open poll: it only waits to be resumed or to expire."""

    row: SessionRow
    function_keys: frozenset[int] = frozenset()
    outbox: Outbox | None = None
    invocation_limit: int = 0
    invocations_sent: int = 0
    is_draining: bool = False
    brought: frozenset[Lease] = field(default_factory=frozenset)
    """Leases that its worker brought along: they were not sent on this stream, and do not count as such."""
    missing: frozenset[Lease] = field(default_factory=frozenset)
    """Leases that the newest heartbeat lacked; those that the next one lacks too were lost."""

    @property
    def is_live(self) -> bool:
        """Whether its worker is there, as far as anybody knows: one that polls is at work between two of its polls."""
        return self.outbox is not None or self.row.is_poller

    @property
    def free(self) -> int:
        """How many more invocations it can be sent now."""
        if self.outbox is None or self.is_draining:
            return 0
        return self.invocation_limit - self.invocations_sent


class SessionTable:
    """All sessions, as of the newest commit."""

    def __init__(self, rows: Iterable[SessionRow] = ()) -> None:
        self._sessions = {row.id: Session(row) for row in rows}
        self._by_instance = {instance_of(row): row.id for row in self._sessions_rows()}
        self._serving: dict[int, dict[str, None]] = {}

    def _sessions_rows(self) -> Iterator[SessionRow]:
        return (session.row for session in self._sessions.values())

    def get(self, session_id: str) -> Session | None:
        """The session of that id."""
        return self._sessions.get(session_id)

    def of_instance(self, instance: tuple[str, str, str]) -> str | None:
        """The newest session of a worker process."""
        return self._by_instance.get(instance)

    def serving(self, function_key: int) -> list[str]:
        """The live sessions that serve a function; each call begins with the next one."""
        ids = self._serving.get(function_key)
        if not ids:
            return []
        first = next(iter(ids))
        del ids[first]
        ids[first] = None
        return list(ids)

    def count_serving(self, function_key: int) -> int:
        """How many live sessions serve a function."""
        return len(self._serving.get(function_key, ()))

    def open(self) -> Iterable[Session]:
        """All sessions, live or not."""
        return self._sessions.values()

    def expired(self, now: int) -> list[Session]:
        """The sessions that are past their time."""
        return [session for session in self._sessions.values() if session.row.expires_at <= now]

    def apply(self, changed: dict[str, Session | None]) -> None:
        """Let the changes of a committed turn take effect; `None` means that the session is no more."""
        for session_id, session in changed.items():
            before = self._sessions.pop(session_id, None)
            if before is not None:
                self._unlink(before)
            if session is not None:
                self._sessions[session_id] = session
                self._link(session)

    def _link(self, session: Session) -> None:
        self._by_instance[instance_of(session.row)] = session.row.id
        if session.is_live:
            for key in session.function_keys:
                self._serving.setdefault(key, {})[session.row.id] = None

    def _unlink(self, session: Session) -> None:
        instance = instance_of(session.row)
        if self._by_instance.get(instance) == session.row.id:
            del self._by_instance[instance]
        for key in session.function_keys:
            serving = self._serving.get(key)
            if serving is not None:
                serving.pop(session.row.id, None)
                if not serving:
                    del self._serving[key]


class SessionChanges:
    """The sessions as one turn sees them: a copy of each that it touches."""

    def __init__(self, table: SessionTable) -> None:
        self.table = table
        self.changed: dict[str, Session | None] = {}
        self._opened: dict[tuple[str, str, str], str] = {}

    def get(self, session_id: str) -> Session | None:
        """A session, to look at."""
        if session_id in self.changed:
            return self.changed[session_id]
        return self.table.get(session_id)

    def edit(self, session_id: str) -> Session | None:
        """A session, to change."""
        if session_id not in self.changed:
            session = self.table.get(session_id)
            if session is None:
                return None
            self.changed[session_id] = copy.copy(session)
        return self.changed[session_id]

    def add(self, session: Session) -> None:
        """A new session."""
        self.changed[session.row.id] = session
        self._opened[instance_of(session.row)] = session.row.id

    def remove(self, session_id: str) -> None:
        """The session is no more."""
        self.changed[session_id] = None

    def of_instance(self, instance: tuple[str, str, str]) -> str | None:
        """The newest session of a worker process: it may have opened one in this very turn."""
        return self._opened.get(instance) or self.table.of_instance(instance)

    def free(self) -> list[Session]:
        """The sessions that have free slots."""
        found = [session for session in self.table.open() if session.free > 0 and session.row.id not in self.changed]
        return found + [session for session in self.changed.values() if session is not None and session.free > 0]

    def serving(self, function_key: int) -> list[Session]:
        """The sessions that serve a function and have free slots."""
        ids = dict.fromkeys(self.table.serving(function_key))
        for session_id, session in self.changed.items():
            if session is not None and function_key in session.function_keys:
                ids[session_id] = None
        found = (self.get(session_id) for session_id in ids)
        return [session for session in found if session is not None and session.free > 0]


def instance_of(row: SessionRow) -> tuple[str, str, str]:
    """What names a worker process: a new stream of the same one takes over from its old one."""
    return (row.namespace, row.app_id, row.instance_id)
