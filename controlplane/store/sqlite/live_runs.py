"""Remembers the newest values of runs that are queued or leased, since each report needs its run.

This is sound because one connection writes all runs, and it is told when another program wrote to the file. It must
never hold what a transaction wrote that was rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from controlplane.core.records import RunRow
from controlplane.core.states import RunState

_GENERATION_MAX: Final = 20_000


class LiveRuns:
    """Two generations: a run that nobody wrote or asked for during a whole generation is forgotten."""

    def __init__(self) -> None:
        self._young: dict[str, RunRow] = {}
        self._old: dict[str, RunRow] = {}

    def get(self, run_id: str) -> RunRow | None:
        """A run's newest values, if they are remembered."""
        found = self._young.get(run_id)
        if found is None:
            found = self._old.get(run_id)
            if found is not None:
                self._young[run_id] = found
        return found

    def put(self, rows: Iterable[RunRow]) -> None:
        """These are the runs' newest values."""
        young, old = self._young, self._old
        for row in rows:
            if row.state is RunState.RUNNING or row.state is RunState.QUEUED:
                young[row.id] = row
            else:
                young.pop(row.id, None)
                old.pop(row.id, None)
        if len(young) > _GENERATION_MAX:
            self._old, self._young = young, {}

    def clear(self) -> None:
        """Forget everything: the file may differ."""
        self._young, self._old = {}, {}
