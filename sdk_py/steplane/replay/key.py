"""Step keys and span ids, as the server and every other SDK derive them."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Final

from steplane.errors import StepIdError

STEP_KEY_BYTES_MAX: Final = 256
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_OCCURRENCE_BYTES: Final = len("#9999")


@lru_cache(maxsize=8192)
def step_key(step_id: str, occurrence: int) -> str:
    """What identifies a step inside its run: its id, "#", and how often that id was used before.

    Raises `StepIdError` if the id can't be one.
    """
    problem = step_id_problem(step_id)
    if problem is not None:
        raise StepIdError(f"step id {str(step_id)[:64]!r} {problem}")
    return f"{step_id}#{occurrence}"


def step_id(key: str) -> str:
    """The id in a step key."""
    return key.rpartition("#")[0]


def step_id_problem(step_id: object) -> str | None:
    """What is wrong with a step's id."""
    if not isinstance(step_id, str):
        return f"is not a text, but a {type(step_id).__name__}"
    if not step_id:
        return "is empty"
    try:
        size = len(step_id.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if size > STEP_KEY_BYTES_MAX - _OCCURRENCE_BYTES:
        return f"has {size} bytes; {STEP_KEY_BYTES_MAX - _OCCURRENCE_BYTES} are the most"
    if _CONTROL.search(step_id):
        return "has control characters"
    return None


def run_span_id(run_id: str) -> str:
    """The span of a run."""
    return sha256(run_id.encode()).hexdigest()[:16]


def step_span_id(run_id: str, key: str) -> str:
    """The span of a step."""
    return sha256(f"{run_id}/{key}".encode()).hexdigest()[:16]


def child_traceparent(parent: str, span_id: str) -> str:
    """`parent` with another span: the trace id and the flags stay. Empty if there is no parent."""
    return f"00-{parent[3:35]}-{span_id}-{parent[53:55]}" if parent else ""
