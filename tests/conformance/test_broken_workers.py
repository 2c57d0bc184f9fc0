"""A kit is worth what it finds: workers that break one rule each, and the cases that tell so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROKEN = Path(__file__).parent / "broken_worker.py"


def play(fault: str, *cases: str) -> dict[str, str]:
    """What the kit tells of a worker with this fault: the problems of each case."""
    command = [sys.executable, "-m", "controlplane", "conformance", "--json"]
    command += ["--worker", f"{sys.executable} {BROKEN} {fault}"]
    for case in cases:
        command += ["--case", case]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in played.stdout.splitlines()]
    assert played.returncode == (1 if any(line["problems"] for line in lines) else 0), played.stderr
    return {line["case"]: "\n".join(line["problems"]) for line in lines}


def test_a_worker_that_keeps_all_rules_passes() -> None:
    """What is told of the others is not told of this one."""
    assert play("none", "one-step", "cut-before-a-report") == {"one-step": "", "cut-before-a-report": ""}


@pytest.mark.parametrize(
    ("fault", "case", "told"),
    [
        ("return-another-value", "one-step", 'it returned "other", not 1'),
        ("forget-the-journal", "worker-dies-before-an-ack", "executed again after it was recorded"),
        ("count-ids-from-one", "same-id", "its journal has"),
        ("forget-leases", "cut-before-a-report", "of which reports are not acknowledged"),
        ("ignore-lost-leases", "lease-was-lost", "it was leased 1 times, not 2"),
        ("retry-what-is-final", "step-never-again", "attempts"),
        ("die-of-sigterm", "stopped-in-a-step", "a worker ended with"),
        ("ignore-cancellations", "cancellation-gets-lost", "the moment of the fault at 'forgotten' did not come"),
        ("beat-too-late", "busy-thread", "it was leased"),
        ("run-ahead", "slow-ack", "what passed, in its order: report a#0, report b#0"),
        ("ignore-resolutions", "resolution-arrives-twice", "it is parked by nap#0, which is over"),
        ("take-any-ack", "old-ack-arrives-late", "3 different reports of a#0, not 2"),
        ("grant-too-much", "one-step", "credit of 41 after 0 invocations, with 40 slots"),
        ("fill-frames", "large-outputs-at-once", "the welcome said 262144 at the most"),
        ("begin-another-trace", "traceparent-of-a-run", "it returned"),
    ],
)
def test_a_broken_rule_is_found(fault: str, case: str, told: str) -> None:
    """Each by a case that is there for it."""
    assert told in play(fault, case)[case]
