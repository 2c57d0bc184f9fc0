"""What one turn decides: rows to write, and effects to release once these are on disk.

Stations add to it and read the runs and steps as they stand so far from it, so that a later report of the turn sees what
an earlier one did.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controlplane.core.definition import FunctionRow
from controlplane.core.ids import Ids, Rng
from controlplane.core.limits import Limits
from controlplane.core.records import (
    Ack,
    Cancellation,
    EventRow,
    FlowKind,
    FlowRow,
    JournalRow,
    NewEvent,
    Resolution,
    RunRow,
    SignalRow,
    TimerRow,
    WaitRow,
)


@dataclass(slots=True)
class Incoming:
    """Events on their way in, from one call or one step, and what became of them."""

    namespace: str
    events: tuple[NewEvent, ...]
    source_run_id: str | None = None
    source_step_key: str | None = None
    depth: int = 0
    function: FunctionRow | None = None
    """Set if they start this function, whatever its triggers are; another one starts by its trigger only."""
    is_invoke: bool = False
    """Whether the step that is their source waits for the end of the run."""
    not_function: int = 0
    """The key of a function that they do not start: what it told of its own failure."""
    ids: list[str] = field(default_factory=list)
    duplicates: int = 0
    run_ids: list[str] = field(default_factory=list)
    """The runs that were started, where `function` is set."""


@dataclass(slots=True)
class Decision:
    """The turn so far."""

    now: int
    rng: Rng
    ids: Ids
    limits: Limits
    functions: dict[int, FunctionRow]
    """By key."""
    functions_by_name: dict[tuple[str, str, str], FunctionRow] = field(default_factory=dict)
    """By namespace, app and id."""

    # As they stand: what was loaded, and then every change.
    runs: dict[str, RunRow] = field(default_factory=dict)
    entries: dict[tuple[str, str], JournalRow] = field(default_factory=dict)
    events: dict[int, EventRow] = field(default_factory=dict)
    """Those that were loaded, by key."""
    past: dict[tuple[str, str], list[EventRow | None]] = field(default_factory=dict)
    """For waits that look back: what came before, an event for each that is waited for."""

    # To be written.
    new_events: list[EventRow] = field(default_factory=list)
    new_runs: dict[str, RunRow] = field(default_factory=dict)
    changed_runs: set[str] = field(default_factory=set)
    new_entries: dict[tuple[str, str], JournalRow] = field(default_factory=dict)
    changed_entries: dict[tuple[str, str], JournalRow] = field(default_factory=dict)
    new_timers: list[TimerRow] = field(default_factory=list)
    done_timers: list[TimerRow] = field(default_factory=list)
    new_waits: list[WaitRow] = field(default_factory=list)
    done_waits: set[tuple[str, str, int]] = field(default_factory=set)
    """By run id, step key and position."""
    signals: dict[tuple[str, str], SignalRow | None] = field(default_factory=dict)
    """Who waits for a signal, as it stands: what was loaded, and then every change. `None`: nobody."""
    changed_signals: set[tuple[str, str]] = field(default_factory=set)
    flow: dict[tuple[int, FlowKind, int], FlowRow | None] = field(default_factory=dict)
    """What controls remember, as it stands: what was loaded, and then every change. `None`: nothing."""
    changed_flow: set[tuple[int, FlowKind, int]] = field(default_factory=set)
    ended: list[RunRow] = field(default_factory=list)
    """Runs that ended in this turn, and were not told of yet."""
    cleared: list[str] = field(default_factory=list)
    """Runs that ended: what is left of their timers, waits and signals is deleted."""

    # On their way down the street.
    incoming: list[Incoming] = field(default_factory=list)
    event_ids: set[tuple[str, str]] = field(default_factory=set)
    """The ids within the dedupe window that were loaded, and all that came in this turn, by namespace."""
    matching: list[EventRow] = field(default_factory=list)
    """Stored events that are to be matched now."""
    not_started: dict[int, int] = field(default_factory=dict)
    """The keys of events, and the function that each does not start, though its trigger may match."""
    starting: list[tuple[EventRow, FunctionRow, Incoming | None]] = field(default_factory=list)
    """Events and the functions that they start."""
    flushing: list[tuple[int, FlowKind, int]] = field(default_factory=list)
    """Batches and debounced events whose time has come."""

    superseded: list[EventRow] = field(default_factory=list)
    """Events of invocations that will start no run: a newer one took their place."""

    # Effects, by session.
    updates: list[tuple[str, Ack | Resolution]] = field(default_factory=list)
    """What became of steps. Those of a run are in the order of `moment_of`, as a replay shows them."""
    cancellations: list[tuple[str, Cancellation]] = field(default_factory=list)

    _ended_steps: dict[str, int] = field(default_factory=dict)

    def moment_of(self, run_id: str) -> int:
        """Now, or a little later: no two steps of a run end at the same moment, so that it tells their order."""
        ended = self._ended_steps.get(run_id, 0)
        self._ended_steps[run_id] = ended + 1
        return self.now + ended

    def add_run(self, run: RunRow) -> None:
        """A new run."""
        self.runs[run.id] = run
        self.new_runs[run.id] = run

    def set_run(self, run: RunRow) -> None:
        """Change a run."""
        self.runs[run.id] = run
        if run.id in self.new_runs:
            self.new_runs[run.id] = run
        else:
            self.changed_runs.add(run.id)

    def set_entry(self, entry: JournalRow) -> None:
        """Record a step, or change a recorded one."""
        key = (entry.run_id, entry.step_key)
        if key in self.entries and key not in self.new_entries:
            self.changed_entries[key] = entry
        else:
            self.new_entries[key] = entry
        self.entries[key] = entry

    def set_signal(self, key: tuple[str, str], row: SignalRow | None) -> None:
        """Somebody, or nobody, waits for a signal."""
        self.signals[key] = row
        self.changed_signals.add(key)

    def set_flow(self, key: tuple[int, FlowKind, int], row: FlowRow | None) -> None:
        """A control is to remember something, or nothing."""
        self.flow[key] = row
        self.changed_flow.add(key)
