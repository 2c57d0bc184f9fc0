"""An empty turn, to try one station with."""

from __future__ import annotations

import random

from controlplane.core.decision import Decision
from controlplane.core.definition import FunctionRow, RetryPolicy
from controlplane.core.ids import Ids
from controlplane.core.limits import SECOND, Limits
from controlplane.core.records import JournalRow, RunRow
from tests.store.rows import NOW, function

#: Two tries, ten seconds apart.
RETRY = RetryPolicy(retries=1, delays=(10 * SECOND,), jitter=0)


def shop_function() -> FunctionRow:
    """The function of all runs here: its key is 1."""
    row = function("checkout", key=1)
    return row._replace(definition=row.definition._replace(retry=RETRY))


def decision(*rows: RunRow | JournalRow, now: int = NOW) -> Decision:
    """A turn that has loaded these runs and steps."""
    rng = random.Random(0)
    return Decision(
        now=now,
        rng=rng,
        ids=Ids(now, rng),
        limits=Limits(),
        functions={1: shop_function()},
        runs={row.id: row for row in rows if isinstance(row, RunRow)},
        entries={(row.run_id, row.step_key): row for row in rows if isinstance(row, JournalRow)},
    )
