"""How a run's extra is written into a column: a JSON array of its fields."""

from __future__ import annotations

import json
from typing import Final

from controlplane.core.records import RunExtra, Slot

_SLOTS: Final = RunExtra._fields.index("slots")
_MORE_EVENTS: Final = RunExtra._fields.index("more_events")


def encode(extra: RunExtra) -> str:
    """The column's text."""
    return json.dumps(extra, separators=(",", ":"))


def decode(text: str) -> RunExtra:
    """The extra of a column's text."""
    fields = json.loads(text)
    fields[_SLOTS] = tuple(Slot._make(slot) for slot in fields[_SLOTS])
    fields[_MORE_EVENTS] = tuple(fields[_MORE_EVENTS])
    return RunExtra._make(fields)
