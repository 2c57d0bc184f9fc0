"""An invocation as assignments: bash itself says what it makes of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from controlplane.client_commands.show.shell import assignments
from controlplane.gen.steplane.v1 import payload_pb2, run_pb2, work_pb2

ODD = (
    "a b#0",
    "x]y#0",
    "$(touch here)#0",
    "`touch here`#0",
    "q'uote\"#0",
    "line\nend#0",
    "*#0",
    "@#0",
    "!x#0",
    "schön#0",
    "a\\#0",
    "-v#0",
    "$x#0",
)
"""What a step's key or an event's data may be made of."""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def told(invocation: work_pb2.Invocation | None, script: str, before: str = "") -> list[str]:
    """What bash prints, NUL after each, once it has evaluated the assignments. Unset variables are errors to it."""
    text = "\n".join(assignments(invocation))
    done = subprocess.run(
        ["bash", "-u", "-c", f'{before}\neval "$1"\n{script}', "bash", text], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().split("\0")[:-1]


def items(name: str) -> str:
    """The script that prints all of an array."""
    return f'for key in "${{!{name}[@]}}"; do printf "%s\\0" "$key" "${{{name}[$key]}}"; done'


def pairs(printed: list[str]) -> dict[str, str]:
    """The array that was printed."""
    return dict(zip(printed[::2], printed[1::2], strict=True))


def invocation(data: object = None, *entries: run_pb2.JournalEntry) -> work_pb2.Invocation:
    """An invocation."""
    found = work_pb2.Invocation(run_id="R1", epoch=3, function_id="fulfil", journal=entries)
    found.events.add(id="e'1", name="shop/order.paid", data=payload_pb2.Payload(data=json.dumps(data).encode()))
    return found


def test_the_lease_is_for_later_commands() -> None:
    """It is exported, under the names that `steplane work report` knows."""
    script = """printf '%s\\0' "$function_id" "$attempt" "$event_id" "$event_name"; env -0 | grep -z ^STEPLANE_"""
    *plain, run, epoch = told(invocation({}), script)
    assert plain == ["fulfil", "0", "e'1", "shop/order.paid"]
    assert sorted([run, epoch]) == ["STEPLANE_EPOCH=3", "STEPLANE_RUN=R1"]


def test_values_are_text_or_json() -> None:
    """Texts are as they are, all else is JSON, and null is nothing; the whole is there as JSON too."""
    data: dict[str, Any] = {"text": "it's\ttwo\nlines", "n": 1.5, "yes": True, "no": None, "more": {"a": [1]}, "": 1}
    whole, *printed = told(invocation(data), 'printf "%s\\0" "$event_data";' + items("data"))
    assert json.loads(whole) == data
    assert pairs(printed) == {"text": "it's\ttwo\nlines", "n": "1.5", "yes": "true", "no": "", "more": '{"a": [1]}'}


def test_nothing_is_done_but_to_assign() -> None:
    """Whatever characters events and steps are made of."""
    entries = [
        run_pb2.JournalEntry(
            step_key=key,
            state=run_pb2.STEP_STATE_COMPLETED,
            attempts=1,
            output=payload_pb2.Payload(data=json.dumps(key).encode()),
        )
        for key in ODD
    ]
    odd = invocation({key: key for key in ODD}, *entries)
    odd.function_id = odd.traceparent = odd.events[0].id = odd.events[0].name = "$(touch here); `touch here` ' \" \\"
    assert pairs(told(odd, items("data"))) == {key: key for key in ODD}
    assert pairs(told(odd, items("output"))) == {key: key for key in ODD}
    assert (
        told(odd, 'printf "%s\\0" "$event_id" "${state[$1#0]-}"', before="touch() { exit 9; }")[0] == odd.events[0].id
    )


def test_steps_by_their_keys() -> None:
    """Where each stands, what it returned or why it failed, and how often it was tried."""
    steps = (
        run_pb2.JournalEntry(step_key="a#0", state=run_pb2.STEP_STATE_COMPLETED, attempts=1),
        run_pb2.JournalEntry(
            step_key="b#0",
            state=run_pb2.STEP_STATE_RETRYING,
            attempts=2,
            failure=payload_pb2.Failure(name="NoShelf", message="all full"),
        ),
    )
    found = invocation({}, *steps)
    assert pairs(told(found, items("state"))) == {"a#0": "completed", "b#0": "retrying"}
    assert pairs(told(found, items("attempts"))) == {"a#0": "1", "b#0": "2"}
    assert pairs(told(found, items("failure"))) == {"b#0": "NoShelf: all full"}
    assert told(found, """printf '%s\\0' "${output['a#0']-none}" "${state['c#0']-none}" """) == ["none", "none"]


def test_without_work_nothing_is_left_of_earlier_work() -> None:
    """All variables are there, and empty."""
    before = "STEPLANE_RUN=R0; event_data=x; declare -A state=([a#0]=completed) data=([n]=1)"
    script = 'printf "%s\\0" "$STEPLANE_RUN$STEPLANE_EPOCH$event_data$function_id" "${#state[@]}" "${#data[@]}"'
    assert told(None, script, before) == ["", "0", "0"]
