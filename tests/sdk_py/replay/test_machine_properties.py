"""Properties of replay, against a server of a few lines: whatever is cut off wherever, nothing recorded is done again."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from steplane.replay.journal import AckStatus, Entry, StepKind, StepState
from steplane.replay.machine import Machine, Status, StepCall


@dataclass
class Server:
    """The journal of one run, and how often each step's body was executed to its report."""

    fails: dict[str, int]
    """How often each step fails at first."""
    journal: dict[str, Entry] = field(default_factory=dict)
    executed: dict[str, int] = field(default_factory=dict)

    def report(self, call: StepCall) -> tuple[AckStatus, Entry | None]:
        """Record a step, unless it is recorded."""
        key = call.key
        before = self.journal.get(key)
        if before is not None and before.state is not StepState.RETRYING:
            return AckStatus.DUPLICATE, before
        attempts = (before.attempts if before else 0) + 1
        if call.kind is StepKind.SLEEP:
            self.journal[key] = Entry(key, call.kind, StepState.PENDING, is_due_later=True)
            return AckStatus.COMMITTED, self.journal[key]
        if attempts <= self.fails.get(key, 0):
            self.journal[key] = Entry(key, call.kind, StepState.RETRYING, attempts=attempts, is_due_later=True)
            return AckStatus.COMMITTED, self.journal[key]
        self.journal[key] = Entry(key, call.kind, StepState.COMPLETED, b"1", attempts=attempts)
        return AckStatus.COMMITTED, None

    def let_time_pass(self) -> list[Entry]:
        """End all sleeps and back-offs."""
        changed = []
        for key, entry in self.journal.items():
            if entry.state is StepState.PENDING:
                self.journal[key] = entry._replace(state=StepState.COMPLETED, is_due_later=False)
            elif entry.is_due_later:
                self.journal[key] = entry._replace(is_due_later=False)
            else:
                continue
            changed.append(self.journal[key])
        return changed


Code = list[list[tuple[str, StepKind]]]
"""What a function does: stages one after the other, of steps at the same time."""

KINDS = st.sampled_from([StepKind.RUN, StepKind.SLEEP])
CODE = st.lists(st.lists(st.tuples(st.sampled_from("abc"), KINDS), min_size=1, max_size=4), max_size=5)


def invoke(server: Server, code: Code, rng: Random, *, is_cut: bool) -> bool:
    """One invocation, with answers in any order; it may be cut off anywhere. Whether the code came to its end."""
    m = Machine(run_id="r", epoch=1, journal=list(server.journal.values()), steps_max=1000)
    for stage in code:
        calls = [m.begin(id_ + kind.name, kind) for id_, kind in stage]
        while any(call.status < Status.COMPLETED for call in calls):
            if is_cut and rng.random() < 0.2:
                return False
            if m.is_blocked:
                assert m.park() == [call.key for call in calls if call.status is Status.BLOCKED]
                server.let_time_pass()
                return False
            call = rng.choice([call for call in calls if call.status is Status.EXECUTE])
            assert (
                server.journal.get(call.key, Entry(call.key, call.kind, StepState.RETRYING)).state is StepState.RETRYING
            )
            server.executed[call.key] = server.executed.get(call.key, 0) + 1
            m.reported(call)
            if is_cut and rng.random() < 0.2:
                return False
            m.acked(call.key, *server.report(call))
            if rng.random() < 0.3:
                for entry in server.let_time_pass():
                    m.resolved(entry)
    assert not m.is_blocked
    assert not list(m.live)
    return True


@given(CODE, st.dictionaries(st.sampled_from(["aRUN#0", "bRUN#0", "cRUN#1"]), st.integers(1, 3)), st.integers())
def test_a_run_gets_to_its_end_and_repeats_nothing(code: Code, fails: dict[str, int], seed: int) -> None:
    """Without crashes each try of each step is executed once, however often the run is parked and replayed."""
    server, rng = Server(fails), Random(seed)
    while not invoke(server, code, rng, is_cut=False):
        pass
    expected = {key: fails.get(key, 0) + 1 for key, entry in server.journal.items()}
    expected |= {key: 1 for key, entry in server.journal.items() if entry.kind is StepKind.SLEEP}
    assert server.executed == expected


@given(CODE, st.integers())
def test_a_run_survives_crashes(code: Code, seed: int) -> None:
    """However often its worker dies, the run ends, and each step of the code is recorded once."""
    server, rng = Server({}), Random(seed)
    tries = 0
    while not invoke(server, code, rng, is_cut=tries < 50):
        tries += 1
    steps = sum(len(stage) for stage in code)
    assert len(server.journal) == steps
    assert all(entry.state is StepState.COMPLETED for entry in server.journal.values())
