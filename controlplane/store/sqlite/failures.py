"""How a user's failure is written into a column: a JSON array of its fields."""

from __future__ import annotations

import json

from controlplane.core.records import Failure


def encode(failure: Failure) -> str:
    """The column's text."""
    return json.dumps(failure)


def decode(text: str) -> Failure:
    """The failure of a column's text."""
    # One of an older version has fewer fields.
    return Failure(*json.loads(text))
