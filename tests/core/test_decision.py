"""A turn sees its own changes, and knows which rows are new."""

from __future__ import annotations

from tests.core.decisions import decision
from tests.store.rows import entry, run


def test_a_step_that_was_loaded_is_changed() -> None:
    """A recorded step is updated, never recorded a second time."""
    d = decision(entry("r", attempts=1))
    d.set_entry(entry("r", attempts=2))
    d.set_entry(entry("r", attempts=3))

    assert d.new_entries == {}
    assert {("r", "load#0"): entry("r", attempts=3)} == d.changed_entries == d.entries


def test_a_step_that_is_new_stays_new() -> None:
    """A step that is recorded and changed in one turn is stored once, as it is in the end."""
    d = decision()
    d.set_entry(entry("r", attempts=1))
    d.set_entry(entry("r", attempts=2))

    assert d.changed_entries == {}
    assert {("r", "load#0"): entry("r", attempts=2)} == d.new_entries == d.entries


def test_a_changed_run_is_seen() -> None:
    """A later command of the turn sees what an earlier one did."""
    d = decision(run("r"))
    d.set_run(run("r", epoch=1))
    d.set_run(run("r", epoch=2))

    assert {"r": run("r", epoch=2)} == d.runs
    assert {"r"} == d.changed_runs
