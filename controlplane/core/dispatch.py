"""Gives ready runs to sessions with free slots, evenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.core.records import RunRow, with_lease
from controlplane.core.states import RunChange, after


@dataclass(slots=True)
class Taker:
    """A session that can take runs."""

    session_id: str
    free: int


def assign(runs: Sequence[RunRow], takers: Sequence[Taker], now: int) -> list[RunRow]:
    """Lease runs, oldest first, to the takers in turn, and count down their free slots.

    The result are the leased runs; what no taker has room for is left out.
    """
    leased: list[RunRow] = []
    open_takers = [taker for taker in takers if taker.free > 0]
    index = 0
    for run in runs:
        if not open_takers:
            break
        index %= len(open_takers)
        taker = open_takers[index]
        leased.append(lease(run, taker.session_id, now))
        taker.free -= 1
        if taker.free == 0:
            del open_takers[index]
        else:
            index += 1
    return leased


def lease(run: RunRow, session_id: str, now: int) -> RunRow:
    """The run as leased: the epoch is raised, so that whoever held it before is fenced off."""
    return with_lease(
        run,
        state=after(run.state, RunChange.LEASED, run_id=run.id),
        session_id=session_id,
        started_at=now if run.started_at is None else run.started_at,
    )
