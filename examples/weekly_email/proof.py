"""What the demo reads of a lineage: how far it is, and whether every promise was kept."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.gen.steplane.v1 import run_pb2
from examples.weekly_email.programs import Program

Lineage = Any  # run_pb2.GetLineageResponse; generated code has no types
SENDER = "weekly-activity-send-email"


def share_sent(lineage: Lineage, app_id: str) -> float:
    """Which part of an app's e-mails has been sent. There are none until the schedule fanned out."""
    senders = [run for run in lineage.runs if (run.app_id, run.function_id) == (app_id, SENDER)]
    return count_ended(senders) / len(senders) if senders else 0.0


def count_ended(runs: Iterable[Any]) -> int:
    """How many runs have ended."""
    return sum(1 for run in runs if run.HasField("end_time"))


@dataclass(frozen=True)
class Proof:
    """What is recorded, beside what the code of the steps noted when it began."""

    steps: int
    runs: int
    traces: int
    again: int  # steps whose code began twice
    late: int  # times that the code of a step began after the step was recorded
    by_title: dict[str, int]  # recorded steps by language
    is_kept: bool

    @property
    def lines(self) -> list[str]:
        """It in words."""
        shares = ", ".join(f"{title} {steps}" for title, steps in self.by_title.items())
        return [
            f"{self.steps} steps are recorded, in {self.runs} runs, under {self.traces} trace id.",
            f"Each was recorded once, by the worker that executed it: {shares}.",
            f"{self.late} of them ran again after they were recorded.",
            f"Under way when their worker was killed, not recorded yet, and so executed again: {self.again}.",
        ]


def prove(lineage: Lineage, notes: Path, programs: Sequence[Program]) -> Proof:
    """Compare: nothing begins once it is recorded, everything is recorded, and all of it is one tree."""
    apps = {run.id: run.app_id for run in lineage.runs}
    entries = [(apps[journal.run_id], entry) for journal in lineage.journals for entry in journal.entries]
    recorded = {_span(entry.traceparent): entry for _, entry in entries}
    begun = Counter[str]()
    late = 0
    for line in notes.read_text().splitlines():
        span, _, moment = line.split()
        begun[span] += 1
        late += span in recorded and int(moment) > recorded[span].end_time.ToMicroseconds()
    with_code = {span for span, entry in recorded.items() if entry.kind == run_pb2.STEP_KIND_RUN}
    traces = {record.event.traceparent.split("-")[1] for record in lineage.events}
    is_kept = (
        late == 0
        and set(begun) == with_code
        and len(recorded) == len(entries)
        and len(traces) == 1
        and len(lineage.events) == len(lineage.runs)
        and set(apps.values()) == {program.app_id for program in programs}
        and all(run.state == run_pb2.RUN_STATE_COMPLETED for run in lineage.runs)
    )
    by_app = Counter(app_id for app_id, _ in entries)
    return Proof(
        steps=len(recorded),
        runs=len(lineage.runs),
        traces=len(traces),
        again=sum(1 for count in begun.values() if count > 1),
        late=late,
        by_title={program.title: by_app[program.app_id] for program in programs},
        is_kept=is_kept,
    )


def _span(traceparent: str) -> str:
    return traceparent.split("-")[2]
