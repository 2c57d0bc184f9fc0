"""An invocation as assignments for bash, to be given to `eval`. Everything in it is quoted: it may come from anybody."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from controlplane.client_commands.show.json_lines import message_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controlplane.gen.steplane.v1 import work_pb2


def assignments(invocation: work_pb2.Invocation | None) -> Iterator[str]:
    """One line of bash a variable. Without an invocation all are empty, so that none is left of an earlier one."""
    data: dict[str, Any] = message_data(invocation) if invocation is not None else {}
    event = (data.get("events") or [{}])[0]
    values = event.get("data")
    steps = {step["step_key"]: step for step in data.get("journal", ())}
    yield f"export STEPLANE_RUN={_word(data.get('run_id'))} STEPLANE_EPOCH={_word(data.get('epoch'))}"
    for name in ("function_id", "attempt", "traceparent"):
        yield f"{name}={_word(data.get(name))}"
    for name in ("id", "name"):
        yield f"event_{name}={_word(event.get(name))}"
    yield f"event_data={shlex.quote(json.dumps(values, ensure_ascii=False)) if event else shlex.quote('')}"
    yield _array("data", values if isinstance(values, dict) else {})
    yield _array("state", {key: step["state"] for key, step in steps.items()})
    yield _array("output", {key: step["output"] for key, step in steps.items() if step["output"] is not None})
    yield _array("failure", {key: _told(step["failure"]) for key, step in steps.items() if step["failure"]})
    yield _array("attempts", {key: step["attempts"] for key, step in steps.items()})


def _array(name: str, items: Mapping[str, Any]) -> str:
    # An empty subscript is an error in bash.
    inner = " ".join(f"[{shlex.quote(key)}]={_word(value)}" for key, value in items.items() if key)
    return f"unset {name}; declare -gA {name}=({inner})"


def _word(value: Any) -> str:
    if value is None:
        return shlex.quote("")
    return shlex.quote(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _told(failure: Mapping[str, Any]) -> str:
    return f"{failure['name'] or 'Error'}: {failure['message'] or ''}"
