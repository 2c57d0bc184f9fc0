"""Reads committed state beside the committer, on connections that can't write."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from controlplane.core.definition import FunctionRow
from controlplane.core.records import EventRow, JournalRow
from controlplane.errors import StoreError
from controlplane.store.interface import Reader, RunFilter, RunView
from controlplane.store.sqlite import events, journal, listings, timers
from controlplane.store.sqlite.connection import Connection, connect_reader
from controlplane.store.sqlite.statement import run

_IDLE_MAX: Final = 8


class ReaderPool:
    """Connections to read with: as many as are in use at once, and a few idle ones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[Connection] = deque()
        self._lock = threading.Lock()
        self._is_closed = False

    def take(self) -> Connection:
        """A connection that nobody else uses."""
        with self._lock:
            if self._is_closed:
                raise StoreError(f"{self._path}: the store is closed")
            if self._idle:
                return self._idle.pop()
        return connect_reader(self._path)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next who asks, or close it."""
        with self._lock:
            if not self._is_closed and len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections now, and the others when they are given back."""
        with self._lock:
            self._is_closed = True
            while self._idle:
                self._idle.pop().close()


class SqliteReader:
    """A consistent view: one read transaction."""

    def __init__(self, pool: ReaderPool) -> None:
        self._pool = pool
        self._taken: Connection | None = None

    def __enter__(self) -> Reader:
        """Begin."""
        self._taken = self._pool.take()
        run(self._taken, "BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back."""
        connection, self._taken = self._connection, None
        if isinstance(error, StoreError):
            connection.close()
        else:
            run(connection, "ROLLBACK")
            self._pool.give_back(connection)

    @property
    def _connection(self) -> Connection:
        assert self._taken is not None, "a reader is used inside its `with` block only"
        return self._taken

    def next_due(self) -> int | None:
        """When the earliest timer is due."""
        return timers.next_due(self._connection)

    def get_run(self, namespace: str, run_id: str) -> RunView | None:
        """One run."""
        return listings.get_run(self._connection, namespace, run_id)

    def list_runs(self, filter_: RunFilter, *, before_id: str, limit: int) -> list[RunView]:
        """Runs that pass the filter, newest id first."""
        return listings.list_runs(self._connection, filter_, before_id=before_id, limit=limit)

    def list_journal(self, run_id: str, *, after: int, limit: int, bytes_max: int) -> list[tuple[int, JournalRow]]:
        """Recorded steps with their positions, in order, beyond a position."""
        return journal.page(self._connection, run_id, after=after, limit=limit, bytes_max=bytes_max)

    def list_events(
        self, namespace: str, *, name: str, id_: str, before_key: int, limit: int, bytes_max: int
    ) -> list[EventRow]:
        """Events newest first."""
        return listings.list_events(
            self._connection, namespace, name=name, id_=id_, before_key=before_key, limit=limit, bytes_max=bytes_max
        )

    def events(self, keys: Iterable[int]) -> dict[int, EventRow]:
        """These events, by key."""
        return events.get(self._connection, keys)

    def find_event(self, namespace: str, event_id: str) -> EventRow | None:
        """The newest event with that id, without its data."""
        return listings.find_event(self._connection, namespace, event_id)

    def events_sent_by(self, run_ids: Sequence[str], limit: int) -> list[EventRow]:
        """The events that steps of these runs sent, oldest first, without their data."""
        return listings.events_sent_by(self._connection, run_ids, limit)

    def runs_of_events(self, event_keys: Sequence[int], limit: int) -> list[RunView]:
        """The runs that these events started, oldest first."""
        return listings.runs_of_events(self._connection, event_keys, limit)

    def journals(self, run_ids: Sequence[str]) -> Mapping[str, list[JournalRow]]:
        """The journals of these runs, in order, without outputs."""
        return journal.journals(self._connection, run_ids, outputs=False)

    def list_functions(self, namespace: str, *, app_id: str, after: tuple[str, str], limit: int) -> list[FunctionRow]:
        """Functions by (app id, function id), beyond the pair `after`."""
        return listings.list_functions(self._connection, namespace, app_id=app_id, after=after, limit=limit)
