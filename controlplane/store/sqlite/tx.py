"""The write transaction: the functions of each noun, on the one connection that writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType

from controlplane.core.definition import FunctionRow
from controlplane.core.records import (
    EventRow,
    FlowKind,
    FlowRow,
    JournalRow,
    RunRow,
    SessionRow,
    SignalRow,
    TimerRow,
    WaitRow,
)
from controlplane.store.interface import Swept, Tx
from controlplane.store.sqlite import events, flow, functions, journal, retention, runs, sessions, timers, waits
from controlplane.store.sqlite.connection import Connection
from controlplane.store.sqlite.events import EventKeys
from controlplane.store.sqlite.live_runs import LiveRuns
from controlplane.store.sqlite.statement import fetch_value, run


class Writer:
    """The connection that writes, with what is remembered between its transactions."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.keys = EventKeys(connection)
        self.live = LiveRuns()
        self._data_version = 0

    def begin(self) -> None:
        """Begin a transaction."""
        assert not self.connection.in_transaction, "the transaction before is still open"
        run(self.connection, "BEGIN IMMEDIATE")
        # It changes when another connection wrote to the file: somebody repaired something by hand.
        data_version = fetch_value(self.connection, "PRAGMA data_version")
        if data_version != self._data_version:
            self._data_version = data_version
            self.live.clear()

    def commit(self) -> None:
        """Commit the transaction."""
        run(self.connection, "COMMIT")

    def roll_back(self) -> None:
        """Roll the transaction back, if one is open, and forget what came of it."""
        self.live.clear()
        self.keys.forget()
        # After some errors SQLite has done so itself.
        if self.connection.in_transaction:
            run(self.connection, "ROLLBACK")


class SqliteTx:
    """One open write transaction."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._connection = writer.connection
        self._is_committed = False

    def __enter__(self) -> Tx:
        """Begin."""
        self._writer.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Roll back, unless committed."""
        if not self._is_committed:
            self._writer.roll_back()

    def commit(self) -> None:
        """Make all of it durable."""
        self._writer.commit()
        self._is_committed = True

    # Events

    def reserve_event_keys(self, count: int) -> int:
        """The first of `count` consecutive keys, above all that were ever given out by a committed transaction."""
        return self._writer.keys.reserve(self._connection, count)

    def known_event_ids(self, ids: Sequence[tuple[str, str]], received_after: int) -> set[tuple[str, str]]:
        """Which of these (namespace, id) pairs name an event received after that moment."""
        return events.known_ids(self._connection, ids, received_after)

    def events(self, keys: Iterable[int]) -> dict[int, EventRow]:
        """These events, by key."""
        return events.get(self._connection, keys)

    def insert_events(self, rows: Sequence[EventRow]) -> None:
        """Store new events."""
        events.insert(self._connection, rows)

    def events_since(
        self, namespace: str, pattern: str, *, received_min: int, after_key: int, limit: int
    ) -> list[EventRow]:
        """Events of a name received at a moment or later, by key."""
        return events.since(
            self._connection, namespace, pattern, received_min=received_min, after_key=after_key, limit=limit
        )

    # Functions

    def functions(self) -> list[FunctionRow]:
        """All functions of all namespaces."""
        return functions.get_all(self._connection)

    def upsert_function(self, row: FunctionRow) -> FunctionRow:
        """Store a function by its namespace, app and id; the result has its key."""
        return functions.upsert(self._connection, row)

    # Runs

    def runs(self, ids: Iterable[str]) -> dict[str, RunRow]:
        """These runs, by id."""
        return runs.get(self._connection, self._writer.live, ids)

    def runs_of_sessions(self, session_ids: Iterable[str]) -> list[RunRow]:
        """The RUNNING runs whose lease these sessions hold."""
        return runs.of_sessions(self._connection, session_ids)

    def lanes_ready(self) -> list[tuple[int, int]]:
        """The (function key, lane) pairs that have QUEUED runs, in order."""
        return runs.lanes_ready(self._connection)

    def claim_ready(self, lanes: Sequence[tuple[int, int]], limit: int) -> list[RunRow]:
        """The oldest QUEUED runs of each of these lanes."""
        return runs.claim_ready(self._connection, self._writer.live, lanes, limit)

    def runs_in_flow(self) -> list[RunRow]:
        """The runs that may hold slots."""
        return runs.in_flow(self._connection)

    def insert_runs(self, rows: Sequence[RunRow]) -> None:
        """Store new runs."""
        runs.insert(self._connection, self._writer.live, rows)

    def update_runs(self, rows: Iterable[RunRow]) -> None:
        """Store the runs' new values."""
        runs.update(self._connection, self._writer.live, rows)

    # Journal

    def journal_entries(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JournalRow]:
        """The recorded steps of these (run id, step key) pairs."""
        return journal.entries(self._connection, keys)

    def journals(self, run_ids: Iterable[str]) -> dict[str, list[JournalRow]]:
        """The journals of these runs, each in the order of recording."""
        return journal.journals(self._connection, run_ids, outputs=True)

    def insert_entries(self, rows: Sequence[JournalRow]) -> None:
        """Record new steps, in this order."""
        journal.insert(self._connection, rows)

    def update_entries(self, rows: Sequence[JournalRow]) -> None:
        """Store the new values of recorded steps."""
        journal.update(self._connection, rows)

    # Timers

    def timers_due(self, now: int, limit: int) -> list[TimerRow]:
        """The timers due at `now` or before, earliest first."""
        return timers.due(self._connection, now, limit)

    def insert_timers(self, rows: Iterable[TimerRow]) -> None:
        """Store timers, unless they are there already."""
        timers.insert(self._connection, rows)

    def delete_timers(self, rows: Iterable[TimerRow]) -> None:
        """Delete exactly these timers."""
        timers.delete(self._connection, rows)

    def delete_timers_of(self, subjects: Iterable[str]) -> None:
        """Delete all timers of these runs."""
        timers.delete_of_runs(self._connection, subjects)

    def replace_cron_timers(self, function_key: int, rows: Sequence[TimerRow]) -> None:
        """Make these the only CRON timers of a function."""
        timers.replace_cron(self._connection, function_key, rows)

    # Waits

    def wait_shapes(self) -> set[tuple[str, str, str]]:
        """The (namespace, event, path) triples that any wait has."""
        return waits.shapes(self._connection)

    def find_waits(self, keys: Sequence[tuple[str, str, str, str]]) -> list[WaitRow]:
        """The waits with one of these (namespace, event, path, value)."""
        return waits.find(self._connection, keys)

    def insert_waits(self, rows: Sequence[WaitRow]) -> None:
        """Store new waits."""
        waits.insert(self._connection, rows)

    def delete_waits(self, keys: Sequence[tuple[str, str, int]]) -> None:
        """Delete the waits of these (run id, step key, position)."""
        waits.delete(self._connection, keys)

    def delete_waits_of(self, run_ids: Iterable[str]) -> None:
        """Delete all waits and signals of these runs."""
        waits.delete_of_runs(self._connection, run_ids)

    def signals(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], SignalRow]:
        """Who waits for these (namespace, signal) pairs."""
        return waits.signals(self._connection, keys)

    def upsert_signals(self, rows: Sequence[SignalRow]) -> None:
        """Store who waits for a signal."""
        waits.upsert_signals(self._connection, rows)

    def delete_signals(self, keys: Sequence[tuple[str, str]]) -> None:
        """Nobody waits for these (namespace, signal) pairs any more."""
        waits.delete_signals(self._connection, keys)

    # Flow control

    def flow_rows(self, keys: Sequence[tuple[int, FlowKind, int]]) -> dict[tuple[int, FlowKind, int], FlowRow]:
        """What is remembered of these (function key, kind, key)."""
        return flow.get(self._connection, keys)

    def upsert_flow_rows(self, rows: Sequence[FlowRow]) -> None:
        """Store what is to be remembered."""
        flow.upsert(self._connection, rows)

    def delete_flow_rows(self, keys: Sequence[tuple[int, FlowKind, int]]) -> None:
        """Forget these (function key, kind, key)."""
        flow.delete(self._connection, keys)

    # Sessions

    def sessions(self) -> list[SessionRow]:
        """All sessions."""
        return sessions.get_all(self._connection)

    def upsert_sessions(self, rows: Iterable[SessionRow]) -> None:
        """Store sessions, by id."""
        sessions.upsert(self._connection, rows)

    def delete_sessions(self, ids: Iterable[str]) -> None:
        """Delete sessions."""
        sessions.delete(self._connection, ids)

    # Retention

    def sweep(self, *, before: int, limit: int, run_cursor: str, event_cursor: int) -> Swept:
        """Delete ended runs and events that are older than `before`."""
        return retention.sweep(
            self._connection, before=before, limit=limit, run_cursor=run_cursor, event_cursor=event_cursor
        )

    def sweep_flow_rows(self, *, now: int, limit: int) -> int:
        """Delete flow rows that have expired."""
        return flow.sweep(self._connection, now=now, limit=limit)
