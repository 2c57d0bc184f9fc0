"""What one turn decides: rows to write, and effects to release once these are on disk.

Stations add to it and read the runs and steps as they stand so far from it, so that a later report of the turn sees what
an earlier one did.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controlplane.core.definition import FunctionRow
from controlplane.core.ids import Ids, Rng
from controlplane.core.limits import Limits
from controlplane.core.records import Ack, Cancellation, EventRow, JournalRow, NewEvent, Resolution, RunRow, TimerRow


@dataclass(slots=True)
class Incoming:
    """Events on their way in, from one call or one step, and what became of them."""

    namespace: str
    events: tuple[NewEvent, ...]
    source_run_id: str | None = None
    source_step_key: str | None = None
    function: FunctionRow | None = None
    """Set if they start this function and nothing else."""
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

    # As they stand: what was loaded, and then every change.
    runs: dict[str, RunRow] = field(default_factory=dict)
    entries: dict[tuple[str, str], JournalRow] = field(default_factory=dict)

    # To be written.
    new_events: list[EventRow] = field(default_factory=list)
    new_runs: list[RunRow] = field(default_factory=list)
    changed_runs: set[str] = field(default_factory=set)
    new_entries: dict[tuple[str, str], JournalRow] = field(default_factory=dict)
    changed_entries: dict[tuple[str, str], JournalRow] = field(default_factory=dict)
    new_timers: list[TimerRow] = field(default_factory=list)
    done_timers: list[TimerRow] = field(default_factory=list)
    runs_without_timers: list[str] = field(default_factory=list)
    """Runs that ended: what is left of their timers is deleted."""

    # On their way down the street.
    incoming: list[Incoming] = field(default_factory=list)
    matching: list[EventRow] = field(default_factory=list)
    """Stored events that are to be matched now."""
    starting: list[tuple[EventRow, FunctionRow, Incoming | None]] = field(default_factory=list)
    """Events and the functions that they start."""

    # Effects, by session.
    acks: list[tuple[str, Ack]] = field(default_factory=list)
    resolutions: list[tuple[str, Resolution]] = field(default_factory=list)
    cancellations: list[tuple[str, Cancellation]] = field(default_factory=list)

    def set_run(self, run: RunRow) -> None:
        """Change a run."""
        self.runs[run.id] = run
        self.changed_runs.add(run.id)

    def set_entry(self, entry: JournalRow) -> None:
        """Record a step, or change a recorded one."""
        key = (entry.run_id, entry.step_key)
        if key in self.entries and key not in self.new_entries:
            self.changed_entries[key] = entry
        else:
            self.new_entries[key] = entry
        self.entries[key] = entry
