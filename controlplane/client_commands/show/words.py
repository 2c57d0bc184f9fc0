"""How states look, and text that is safe to print: one symbol, one word and one colour for each state."""

from __future__ import annotations

from typing import Final, NamedTuple

from controlplane.gen.steplane.v1 import function_pb2, run_pb2


class Look(NamedTuple):
    """How one state looks."""

    symbol: str
    ascii_symbol: str
    """For terminals that can't show the other."""
    word: str
    style: str


RUN_LOOKS: Final = {
    run_pb2.RUN_STATE_QUEUED: Look("○", "o", "queued", "blue"),
    run_pb2.RUN_STATE_RUNNING: Look("▶", ">", "running", "cyan"),
    run_pb2.RUN_STATE_WAITING: Look("◷", "~", "waiting", "yellow"),
    run_pb2.RUN_STATE_COMPLETED: Look("✔", "+", "completed", "green"),
    run_pb2.RUN_STATE_FAILED: Look("✘", "x", "failed", "red"),
    run_pb2.RUN_STATE_CANCELLED: Look("⊘", "-", "cancelled", "magenta"),
    run_pb2.RUN_STATE_SKIPPED: Look("↷", "^", "skipped", "bright_black"),
    run_pb2.RUN_STATE_SET_ASIDE: Look("■", "#", "set aside", "red"),
}
STEP_LOOKS: Final = {
    run_pb2.STEP_STATE_PENDING: Look("◷", "~", "pending", "yellow"),
    run_pb2.STEP_STATE_RETRYING: Look("↻", "!", "retrying", "yellow"),
    run_pb2.STEP_STATE_COMPLETED: Look("✔", "+", "completed", "green"),
    run_pb2.STEP_STATE_FAILED: Look("✘", "x", "failed", "red"),
}
FUNCTION_LOOKS: Final = {
    function_pb2.FUNCTION_STATE_ACTIVE: Look("●", "*", "active", "green"),
    function_pb2.FUNCTION_STATE_PAUSED: Look("‖", "=", "paused", "yellow"),
    function_pb2.FUNCTION_STATE_DISABLED: Look("⊘", "-", "disabled", "magenta"),
}
EVENT_LOOK: Final = Look("◆", "*", "event", "bold")
_UNKNOWN: Final = Look("?", "?", "unknown", "dim")  # what a newer server may say

RUN_STATES: Final = {look.word.replace(" ", "_"): state for state, look in RUN_LOOKS.items()}
"""By the words that users type, which JSON has too."""
ENDED: Final = frozenset(
    {
        run_pb2.RUN_STATE_COMPLETED,
        run_pb2.RUN_STATE_FAILED,
        run_pb2.RUN_STATE_CANCELLED,
        run_pb2.RUN_STATE_SKIPPED,
    }
)
NEEDS: Final = {
    run_pb2.RUN_NEED_WORKER: "waits for a worker",
    run_pb2.RUN_NEED_RESUME: "its function is paused",
    run_pb2.RUN_NEED_TURN: "waits for its turn",
}

STEP_KINDS: Final = {
    run_pb2.STEP_KIND_RUN: "run",
    run_pb2.STEP_KIND_SLEEP: "sleep",
    run_pb2.STEP_KIND_SEND_EVENTS: "send events",
    run_pb2.STEP_KIND_WAIT_FOR_EVENT: "wait for event",
    run_pb2.STEP_KIND_INVOKE: "invoke",
    run_pb2.STEP_KIND_WAIT_FOR_SIGNAL: "wait for signal",
    run_pb2.STEP_KIND_SEND_SIGNAL: "send signal",
}

# Whoever sends events could otherwise move the cursor of whoever looks at them.
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def run_look(state: run_pb2.RunState) -> Look:
    """How a run's state looks."""
    return RUN_LOOKS.get(state, _UNKNOWN)


def step_look(state: run_pb2.StepState) -> Look:
    """How a step's state looks."""
    return STEP_LOOKS.get(state, _UNKNOWN)


def function_look(state: function_pb2.FunctionState) -> Look:
    """How a function's state looks."""
    return FUNCTION_LOOKS.get(state, _UNKNOWN)


def printable(text: str) -> str:
    """`text` with its control characters spelled out, except line ends and tabs."""
    return text.translate(_CONTROLS)


def one_line(text: str, width: int) -> str:
    """`text`, printable, on one line of at most so many characters."""
    flat = printable(" ".join(text.split()))
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"


def function_name(run: run_pb2.Run) -> str:
    """A run's function as users name it: its app, "/" and its id."""
    return f"{run.app_id}/{run.function_id}"


def defined_name(definition: function_pb2.FunctionDefinition) -> str:
    """A definition's function as users name it."""
    return f"{definition.app_id}/{definition.function_id}"


def step_name(step_key: str) -> str:
    """A step's key as users think of it: its id, and which one it is if the id was used before."""
    return step_key.removesuffix("#0")


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`, `1,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
