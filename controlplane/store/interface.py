"""The Store and Tx protocols: each method's docstring is its contract, and `tests/store` proves it for every store.

A store is synchronous. Exactly one thread, the committer's, begins transactions; readers are for everybody else and see
committed state only. Methods take and give sets; the order of what they give is stated where it matters. Every method
raises `StoreError` if the store can't do its work; after that the transaction must be rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Protocol

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
from controlplane.core.states import RunState


class RunFilter(NamedTuple):
    """Which runs to list; `None` and empty mean all.

    Created at `created_min` or later, and before `created_max`. Ids of runs are ULIDs of the moment `created_at`, so that a
    store may bound its search by id.
    """

    namespace: str
    app_id: str = ""
    function_id: str = ""
    states: tuple[RunState, ...] = ()
    event_id: str = ""
    created_min: int | None = None
    created_max: int | None = None


class RunView(NamedTuple):
    """A run with the public names of what it belongs to."""

    run: RunRow
    app_id: str
    function_id: str
    event_id: str
    event_name: str
    more_event_ids: tuple[str, ...] = ()
    """The further events of a batch, in order; empty in lists."""


class Swept(NamedTuple):
    """What one call of `Tx.sweep` deleted, and where the next one goes on."""

    runs: int
    events: int
    run_cursor: str
    """The id of the last run looked at; empty when the end was reached."""
    event_cursor: int
    """The key of the last event looked at; 0 when the end was reached."""


class Tx(Protocol):
    """One open write transaction. Reads see what it wrote. Leaving the `with` block without `commit` rolls it back."""

    def __enter__(self) -> Tx:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Roll back, unless committed."""
        ...

    def commit(self) -> None:
        """Make all of it durable, as the store's configuration promises, before returning."""
        ...

    # Events

    def reserve_event_keys(self, count: int) -> int:
        """The first of `count` consecutive keys, above all that were ever given out by a committed transaction."""
        ...

    def known_event_ids(self, ids: Sequence[tuple[str, str]], received_after: int) -> set[tuple[str, str]]:
        """Which of these (namespace, id) pairs name an event received after that moment."""
        ...

    def events(self, keys: Iterable[int]) -> dict[int, EventRow]:
        """These events, by key; unknown keys are left out."""
        ...

    def insert_events(self, rows: Sequence[EventRow]) -> None:
        """Store new events."""
        ...

    def events_since(
        self, namespace: str, pattern: str, *, received_min: int, after_key: int, limit: int
    ) -> list[EventRow]:
        """Events of a name (a "*" at the end matches any rest) received at that moment or later, by key.

        With keys above `after_key`. What is delayed yet is among them: the caller looks at `ts`.
        """
        ...

    # Functions

    def functions(self) -> list[FunctionRow]:
        """All functions of all namespaces."""
        ...

    def upsert_function(self, row: FunctionRow) -> FunctionRow:
        """Store a function by its namespace, app and id; the result has its key. `row.key` 0 means: a new one."""
        ...

    # Runs

    def runs(self, ids: Iterable[str]) -> dict[str, RunRow]:
        """These runs, by id; unknown ids are left out."""
        ...

    def runs_of_sessions(self, session_ids: Iterable[str]) -> list[RunRow]:
        """The RUNNING runs whose lease these sessions hold."""
        ...

    def lanes_ready(self) -> list[tuple[int, int]]:
        """The (function key, lane) pairs that have QUEUED runs, in order."""
        ...

    def claim_ready(self, lanes: Sequence[tuple[int, int]], limit: int) -> list[RunRow]:
        """The oldest QUEUED runs of each of these (function key, lane) pairs, up to `limit` each.

        By (queued_at, id) within a lane; the lanes in the order given. The caller must lease those that it takes in this
        transaction.
        """
        ...

    def runs_in_flow(self) -> list[RunRow]:
        """The runs with slots that are RUNNING, or have started and not ended: those that may hold slots."""
        ...

    def insert_runs(self, rows: Sequence[RunRow]) -> None:
        """Store new runs, and which further events belong to those of batches."""
        ...

    def update_runs(self, rows: Iterable[RunRow]) -> None:
        """Store the runs' new values. Id, namespace, function, event, creation, trace context, depth and extra never change."""
        ...

    # Journal

    def journal_entries(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JournalRow]:
        """The recorded steps of these (run id, step key) pairs; those not recorded are left out."""
        ...

    def journals(self, run_ids: Iterable[str]) -> dict[str, list[JournalRow]]:
        """The journals of these runs, each in the order of recording; runs without any are left out."""
        ...

    def insert_entries(self, rows: Sequence[JournalRow]) -> None:
        """Record new steps, in this order. A step key of a run can be recorded once only."""
        ...

    def update_entries(self, rows: Sequence[JournalRow]) -> None:
        """Store the new values of recorded steps; their place in the order stays."""
        ...

    # Timers

    def timers_due(self, now: int, limit: int) -> list[TimerRow]:
        """The timers due at `now` or before, earliest first; those due at the same moment in any order."""
        ...

    def insert_timers(self, rows: Iterable[TimerRow]) -> None:
        """Store timers; one that is there already is left as it is."""
        ...

    def delete_timers(self, rows: Iterable[TimerRow]) -> None:
        """Delete exactly these timers."""
        ...

    def delete_timers_of(self, subjects: Iterable[str]) -> None:
        """Delete all timers of these runs (the kinds of `RUN_TIMERS`)."""
        ...

    def replace_cron_timers(self, function_key: int, rows: Sequence[TimerRow]) -> None:
        """Make these the only CRON timers of a function; a trigger (detail) that has a timer keeps the one it has."""
        ...

    # Waits

    def wait_shapes(self) -> set[tuple[str, str, str]]:
        """The (namespace, event, path) triples that any wait has."""
        ...

    def find_waits(self, keys: Sequence[tuple[str, str, str, str]]) -> list[WaitRow]:
        """The waits with one of these (namespace, event, path, value), by (run id, step key, position)."""
        ...

    def insert_waits(self, rows: Sequence[WaitRow]) -> None:
        """Store new waits."""
        ...

    def delete_waits(self, keys: Sequence[tuple[str, str, int]]) -> None:
        """Delete the waits of these (run id, step key, position)."""
        ...

    def delete_waits_of(self, run_ids: Iterable[str]) -> None:
        """Delete all waits and signals of these runs."""
        ...

    def signals(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], SignalRow]:
        """Who waits for these (namespace, signal) pairs; those that nobody waits for are left out."""
        ...

    def upsert_signals(self, rows: Sequence[SignalRow]) -> None:
        """Store who waits for a signal, in place of whoever did."""
        ...

    def delete_signals(self, keys: Sequence[tuple[str, str]]) -> None:
        """Nobody waits for these (namespace, signal) pairs any more."""
        ...

    # Flow control

    def flow_rows(self, keys: Sequence[tuple[int, FlowKind, int]]) -> dict[tuple[int, FlowKind, int], FlowRow]:
        """What is remembered of these (function key, kind, key), expired or not; unknown ones are left out."""
        ...

    def upsert_flow_rows(self, rows: Sequence[FlowRow]) -> None:
        """Store what is to be remembered."""
        ...

    def delete_flow_rows(self, keys: Sequence[tuple[int, FlowKind, int]]) -> None:
        """Forget these (function key, kind, key)."""
        ...

    # Sessions

    def sessions(self) -> list[SessionRow]:
        """All sessions."""
        ...

    def upsert_sessions(self, rows: Iterable[SessionRow]) -> None:
        """Store sessions, by id."""
        ...

    def delete_sessions(self, ids: Iterable[str]) -> None:
        """Delete sessions."""
        ...

    # Retention

    def sweep(self, *, before: int, limit: int, run_cursor: str, event_cursor: int) -> Swept:
        """Delete, oldest first, runs that ended before a moment, with their journals, and events received before it.

        An event stays while a run of its own, or the run that sent it, is there, or while a timer delays it; and so do all
        from the lowest `holds_event` of a flow row on. Looks at no more than `limit` runs and `limit` events, after the cursors.
        """
        ...

    def sweep_flow_rows(self, *, now: int, limit: int) -> int:
        """Delete up to `limit` flow rows that have expired; how many that were."""
        ...


class Reader(Protocol):
    """A consistent view of committed state, for one call. Used as a context manager, in any thread."""

    def __enter__(self) -> Reader:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back."""
        ...

    def next_due(self) -> int | None:
        """When the earliest timer is due."""
        ...

    def get_run(self, namespace: str, run_id: str) -> RunView | None:
        """One run."""
        ...

    def list_runs(self, filter_: RunFilter, *, before_id: str, limit: int) -> list[RunView]:
        """Runs that pass the filter, newest id first, with ids below `before_id` unless that is empty. No outputs."""
        ...

    def list_journal(self, run_id: str, *, after: int, limit: int, bytes_max: int) -> list[tuple[int, JournalRow]]:
        """Recorded steps with their positions, in order, beyond position `after` (0: from the start).

        Ends after `limit` entries, or with the first one that brings the outputs to `bytes_max`.
        """
        ...

    def list_events(
        self, namespace: str, *, name: str, id_: str, before_key: int, limit: int, bytes_max: int
    ) -> list[EventRow]:
        """Events newest first, with keys below `before_key` unless that is 0; `name` and `id_` filter unless empty.

        Ends after `limit` events, or with the first one that brings the data to `bytes_max`.
        """
        ...

    def events(self, keys: Iterable[int]) -> dict[int, EventRow]:
        """These events, by key; unknown keys are left out."""
        ...

    def find_event(self, namespace: str, event_id: str) -> EventRow | None:
        """The newest event with that id. Without its data."""
        ...

    def events_sent_by(self, run_ids: Sequence[str], limit: int) -> list[EventRow]:
        """The events that steps of these runs sent, oldest first. Without their data."""
        ...

    def runs_of_events(self, event_keys: Sequence[int], limit: int) -> list[RunView]:
        """The runs that these events started, oldest first. No outputs."""
        ...

    def journals(self, run_ids: Sequence[str]) -> Mapping[str, list[JournalRow]]:
        """The journals of these runs, in order. No outputs."""
        ...

    def list_functions(self, namespace: str, *, app_id: str, after: tuple[str, str], limit: int) -> list[FunctionRow]:
        """Functions by (app id, function id), beyond the pair `after`; `app_id` filters unless empty."""
        ...


class Store(Protocol):
    """Where everything is kept."""

    def begin(self) -> Tx:
        """A write transaction; to be called by the committer's thread only, one at a time."""
        ...

    def read(self) -> Reader:
        """A view to read from; in any thread, many at a time."""
        ...

    def checkpoint(self) -> None:
        """House-keeping between transactions, when idle; by the committer's thread only."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
