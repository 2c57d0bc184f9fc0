"""Reports to the server, shows each answer, and says whether the worker may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from controlplane.client_commands.problems import Failed, Problem, Wrong
from controlplane.gen.steplane.v1 import work_pb2

if TYPE_CHECKING:
    from controlplane.client_commands.server import Server
    from controlplane.client_commands.show.screen import Screen
    from controlplane.client_commands.work.reports import Call

_STOP: Final = "Stop working on it; a poll gives you the next run."


def report(server: Server, screen: Screen, call: Call) -> None:
    """Raises the worst that came of it, once all answers were shown: what is wrong with a report, or that a lease is lost."""
    problems: list[Problem] = []
    for answer in server.working.report(call.reports, call.held):
        reasons = {told.run_id: told.reason for told in answer.cancellations}
        for ack in answer.acks:
            screen.ack(ack)
            problems += _problems(ack, reasons)
        problems += [_lost(lease.run_id, "its lease does not stand any more", reasons) for lease in answer.stop]
    for problem in sorted(problems, key=lambda problem: -problem.exit_code):
        raise problem


def _problems(ack: work_pb2.Ack, reasons: dict[str, str]) -> list[Problem]:
    match ack.status:
        case work_pb2.ACK_STATUS_COMMITTED | work_pb2.ACK_STATUS_DUPLICATE:
            return []
        case work_pb2.ACK_STATUS_STALE_EPOCH:
            return [_lost(ack.run_id, "it was given to another worker, or parked", reasons)]
        case work_pb2.ACK_STATUS_RUN_ENDED:
            return [_lost(ack.run_id, "it has ended", reasons)]
        case _:
            return [Wrong(f"the server rejects the report: {ack.reason}: {ack.message}")]


def _lost(run_id: str, why: str, reasons: dict[str, str]) -> Problem:
    why = f"it was cancelled: {reasons[run_id]}" if run_id in reasons else why
    return Failed(f"run {run_id} is not yours any more: {why}", remedy=_STOP)
