"""Every pair of a state and a change, allowed or not."""

from __future__ import annotations

import pytest

from controlplane.core.states import ENDED, TRANSITIONS, IllegalTransition, RunChange, RunState, after

ALLOWED = {
    (RunState.QUEUED, RunChange.LEASED): RunState.RUNNING,
    (RunState.QUEUED, RunChange.CANCELLED): RunState.CANCELLED,
    (RunState.RUNNING, RunChange.PARKED): RunState.WAITING,
    (RunState.RUNNING, RunChange.FREED): RunState.QUEUED,
    (RunState.RUNNING, RunChange.BACKED_OFF): RunState.WAITING,
    (RunState.RUNNING, RunChange.RETURNED): RunState.COMPLETED,
    (RunState.RUNNING, RunChange.FAILED): RunState.FAILED,
    (RunState.RUNNING, RunChange.CANCELLED): RunState.CANCELLED,
    (RunState.WAITING, RunChange.WOKEN): RunState.QUEUED,
    (RunState.WAITING, RunChange.CANCELLED): RunState.CANCELLED,
    (RunState.RUNNING, RunChange.SET_ASIDE): RunState.SET_ASIDE,
    (RunState.SET_ASIDE, RunChange.RELEASED): RunState.QUEUED,
    (RunState.SET_ASIDE, RunChange.CANCELLED): RunState.CANCELLED,
}
REFUSED = [(state, change) for state in RunState for change in RunChange if (state, change) not in ALLOWED]


@pytest.mark.parametrize(("state", "change"), ALLOWED)
def test_allowed_changes_lead_where_the_table_says(state: RunState, change: RunChange) -> None:
    """A change that is allowed leads to one state."""

    assert ALLOWED[state, change] is after(state, change, run_id="r1")


@pytest.mark.parametrize(("state", "change"), REFUSED)
def test_all_other_changes_are_refused(state: RunState, change: RunChange) -> None:
    """A change that is not in the table is a bug, and the error names the run, the state and the change."""

    with pytest.raises(IllegalTransition, match=f"run r1: {state.name} --{change.name}-->"):
        after(state, change, run_id="r1")


def test_the_table_knows_every_state() -> None:
    """No state can be forgotten, and those with no way out are the ended ones."""

    assert set(RunState) == set(TRANSITIONS)
    assert {RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.SKIPPED} == ENDED
