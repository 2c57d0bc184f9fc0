"""The fast ways to change a run change what they say, and nothing else."""

from __future__ import annotations

from controlplane.core.records import with_lease, with_progress
from controlplane.core.states import RunState
from tests.store.rows import NOW, full_run


def test_progress_changes_what_it_says() -> None:
    """A step's counts are new, and the run is known to live."""
    before = full_run("r")

    assert before._replace(deliveries=0, step_count=9, journal_bytes=8, has_timers=False) == with_progress(
        before, step_count=9, journal_bytes=8, has_timers=False
    )


def test_a_lease_changes_what_it_says() -> None:
    """Epoch and deliveries go up by one."""
    before = full_run("r")

    assert before._replace(
        state=RunState.RUNNING,
        epoch=before.epoch + 1,
        deliveries=before.deliveries + 1,
        session_id="s",
        started_at=NOW - 5,
    ) == with_lease(before, state=RunState.RUNNING, session_id="s", started_at=NOW - 5)
