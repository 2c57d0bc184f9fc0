"""Makes the vectors that the unit tests of every SDK share, from what the Python SDK computes.

    python -m conformance.vectors            # write conformance/vectors anew
    python -m conformance.vectors --check    # only tell whether they are current

Histories of the replay machine are chosen by chance, with a fixed seed: each is a journal, whether results are given in
order, and what a shell tells the machine, with what the machine then has to say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from steplane.errors import NonDeterminismError, StepIdError
from steplane.replay.journal import AckStatus, Entry, StepKind, StepState
from steplane.replay.key import child_traceparent, run_span_id, step_key, step_span_id
from steplane.replay.machine import Machine, Status, StepCall

FOLDER: Final = Path(__file__).parent / "vectors"
_HISTORIES: Final = 150
_STEPS_MAX: Final = 20
_LINE_MAX: Final = 280
_IDS: Final = ("a", "b", "schön")
_RUN_ID: Final = "01JH3Z8V6T0000000000000000"
_PARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Json = dict[str, Any]


def main() -> int:
    """Write the files, or compare them; the exit status is 1 if one is stale."""
    files = {
        "step_keys": step_keys(),
        "spans": spans(),
        "replay": [_history(Random(seed)) for seed in range(_HISTORIES)],
    }
    stale = []
    for name, content in files.items():
        text = "".join(_pretty(content)) + "\n"
        path = FOLDER / f"{name}.json"
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        print(f"stale: {', '.join(stale)}; run `make vectors`")
    return 1 if stale else 0


def step_keys() -> Json:
    """Sequences of ids and their keys, and ids that can't be."""
    sequences = [
        ["charge"],
        ["a", "a", "b", "a"],
        ["a#0", "a"],
        ["schön", "schön"],
        ["x" * 251],
        ["", "a"],
        ["tab\tbed"],
    ]
    accepted = []
    for ids in sequences:
        machine = Machine(run_id=_RUN_ID, epoch=1)
        if all(_problem(each) is None for each in ids):
            keys = [machine.begin(each, StepKind.RUN).key for each in ids]
            accepted.append({"ids": ids, "keys": keys})
    refused = ["", "x" * 252, "ö" * 126, "tab\tbed", "nul\x00", "line\nbreak", "del\x7f", "c1\x85"]
    return {"accepted": accepted, "refused": [{"id": each, "message": _problem(each)} for each in refused]}


def spans() -> list[Json]:
    """Span ids and the trace contexts of runs and steps."""
    keys = ["charge#0", "charge#1", "schön#0", "a#0#0"]
    return [
        {
            "run_id": _RUN_ID,
            "run_span_id": run_span_id(_RUN_ID),
            "step_key": key,
            "step_span_id": step_span_id(_RUN_ID, key),
            "run_traceparent": _PARENT,
            "step_traceparent": child_traceparent(_PARENT, step_span_id(_RUN_ID, key)),
        }
        for key in keys
    ]


def _problem(step_id: str) -> str | None:
    try:
        step_key(step_id, 0)
    except StepIdError as error:
        return str(error)
    return None


def _pretty(value: Any, depth: int = 0) -> Iterator[str]:
    """JSON in which what fits a line is on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + depth <= _LINE_MAX or not isinstance(value, dict | list):
        yield line
        return
    yield "[" if isinstance(value, list) else "{"
    items = value.items() if isinstance(value, dict) else ((None, each) for each in value)
    for index, (name, each) in enumerate(items):
        yield ("," if index else "") + "\n" + " " * (depth + 1) + (f"{json.dumps(name)}: " if name is not None else "")
        yield from _pretty(each, depth + 1)
    yield "\n" + " " * depth + ("]" if isinstance(value, list) else "}")


def _history(rng: Random) -> Json:
    return _Teller(rng).tell()


class _Teller:
    """Plays the shell at random, and writes down what the machine answers."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._journal = self._make_journal()
        self._in_order = rng.random() < 0.5
        self._machine = Machine(
            run_id="r", epoch=1, journal=self._journal, steps_max=_STEPS_MAX, in_order=self._in_order
        )
        self._calls: list[StepCall] = []
        self._moment = 1_000
        self._said: list[Json] = []

    def tell(self) -> Json:
        """One history."""
        for _ in range(self._rng.randint(3, 18)):
            if not self._act() or self._machine.is_over:
                break
        return {
            "in_order": self._in_order,
            "steps_max": _STEPS_MAX,
            "journal": [_entry(each) for each in self._journal],
            "script": self._said,
        }

    def _make_journal(self) -> list[Entry]:
        rng = self._rng
        journal: list[Entry] = []
        ended = list(range(1, 10))
        rng.shuffle(ended)
        for index in range(rng.randint(0, 7)):
            key = step_key(rng.choice(_IDS), rng.choice((0, 0, 1)))
            if key not in [each.step_key for each in journal]:
                kind = rng.choice(list(StepKind))
                state = rng.choice([StepState.COMPLETED, StepState.COMPLETED, StepState.FAILED, StepState.PENDING])
                if kind is StepKind.RUN and state is StepState.PENDING:
                    state = StepState.RETRYING
                is_over = state in (StepState.COMPLETED, StepState.FAILED)
                journal.append(
                    Entry(
                        key,
                        kind,
                        state,
                        attempts=rng.randint(1, 3) if kind is StepKind.RUN else 0,
                        is_due_later=not is_over and (state is StepState.PENDING or rng.random() < 0.5),
                        ended_at=ended[index] if is_over else 0,
                    )
                )
        return journal

    def _act(self) -> bool:
        """Tell the machine one thing. Whether there was any."""
        can: list[Any] = [self._begin, self._begin]
        live = [call for call in self._calls if call in set(self._machine.live)]
        by = {status: [c for c in live if c.status is status and not c.is_held] for status in Status}
        if by[Status.EXECUTE]:
            can += [lambda: self._reported(self._rng.choice(by[Status.EXECUTE]))] * 3
        if by[Status.REPORTED]:
            can += [lambda: self._acked(self._rng.choice(by[Status.REPORTED]))] * 3
        if by[Status.BLOCKED]:
            can += 2 * [lambda: self._resolved(self._rng.choice(by[Status.BLOCKED]))]
        if live and self._rng.random() < 0.2:
            can += [lambda: self._abandon(self._rng.choice(live))]
        if self._machine.has_held:
            can += [self._deliver] * 4
        elif self._machine.has_postponed:
            can += [self._proceed] * 4
        if self._machine.is_blocked:
            can += [self._park] * 2
        return bool(self._rng.choice(can)())

    def _note(self, do: str, expect: Json, **arguments: Any) -> bool:
        machine = self._machine
        after = {"state": machine.state.name, "is_blocked": machine.is_blocked, "has_held": machine.has_held}
        self._said.append({"do": do, **arguments, "expect": {**expect, **after}})
        return True

    def _begin(self) -> bool:
        step_id, kind = self._rng.choice(_IDS), self._rng.choice(list(StepKind))
        for entry in self._journal:
            # Most of the time the code is as it was.
            if entry.step_key.startswith(f"{step_id}#") and self._rng.random() < 0.97:
                kind = StepKind(entry.kind)
        try:
            call = self._machine.begin(step_id, kind)
        except NonDeterminismError as error:
            self._note("begin", {"error": "NonDeterminismError", "message": str(error)}, id=step_id, kind=kind.name)
            return False
        self._calls.append(call)
        return self._note("begin", _standing(call), id=step_id, kind=kind.name)

    def _reported(self, call: StepCall) -> bool:
        is_certain = self._rng.random() < 0.8
        self._machine.reported(call, is_certain=is_certain)
        return self._note("reported", _standing(call), key=call.key, is_certain=is_certain)

    def _acked(self, call: StepCall) -> bool:
        status, entry = self._rng.choice([AckStatus.COMMITTED, AckStatus.COMMITTED, AckStatus.REJECTED]), None
        if status is AckStatus.COMMITTED and (call.kind is not StepKind.RUN or self._rng.random() < 0.5):
            entry = self._later(call)
        goes_on = self._machine.acked(call.key, status, entry, "no")
        expect = {"goes_on": goes_on is not None, **_standing(call)}
        told = {"entry": _entry(entry)} if entry is not None else {}
        return self._note("acked", expect, key=call.key, status=status.name, **told)

    def _resolved(self, call: StepCall) -> bool:
        entry = self._later(call)
        goes_on = self._machine.resolved(entry)
        return self._note("resolved", {"goes_on": goes_on is not None, **_standing(call)}, entry=_entry(entry))

    def _later(self, call: StepCall) -> Entry:
        self._moment += 1
        states = [StepState.COMPLETED, StepState.FAILED]
        states.append(StepState.RETRYING if call.kind is StepKind.RUN else StepState.PENDING)
        state = self._rng.choice(states)
        is_over = state in (StepState.COMPLETED, StepState.FAILED)
        return Entry(
            call.key,
            call.kind,
            state,
            attempts=call.attempts + 1 if call.kind is StepKind.RUN else 0,
            is_due_later=not is_over and (state is StepState.PENDING or self._rng.random() < 0.5),
            ended_at=self._moment if is_over else 0,
        )

    def _abandon(self, call: StepCall) -> bool:
        self._machine.abandon(call)
        return self._note("abandon", {}, key=call.key)

    def _deliver(self) -> bool:
        call = self._machine.deliver()
        return self._note("deliver", {"key": call.key, **_standing(call)})

    def _proceed(self) -> bool:
        calls = self._machine.proceed()
        return self._note("proceed", {"keys": [call.key for call in calls]})

    def _park(self) -> bool:
        blocked_by = self._machine.park()
        return self._note("park", {"blocked_by": blocked_by})


def _standing(call: StepCall) -> Json:
    return {"key": call.key, "status": call.status.name, "attempts": call.attempts, "is_held": call.is_held}


def _entry(entry: Entry) -> Json:
    return {
        "step_key": entry.step_key,
        "kind": StepKind(entry.kind).name,
        "state": StepState(entry.state).name,
        "attempts": entry.attempts,
        "is_due_later": entry.is_due_later,
        "ended_at": entry.ended_at,
    }


if __name__ == "__main__":
    sys.exit(main())
