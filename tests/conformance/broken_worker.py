"""The Python worker under test, with one rule broken: `broken_worker.py FAULT`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk_py" / "conformance"))

import script
import worker as worker_under_test

from steplane import Context, Worker
from steplane.replay import machine
from steplane.replay.journal import AckStatus, StepKind
from steplane.worker import frames, outbox, stream
from steplane.worker.executor import Executor
from steplane.worker.invocation import Invocation
from steplane.worker.outbox import IncomingAck, Outbox
from steplane.worker.session import Session
from steplane.worker.slots import Slots


def return_another_value() -> None:
    """Steps return what their bodies did not."""

    async def other(*_: Any) -> str:
        return "other"

    script.Execution._body = other


def forget_the_journal() -> None:
    """A replay begins from nothing."""
    before = machine.Machine.__init__

    def init(self: machine.Machine, **options: Any) -> None:
        before(self, **(options | {"journal": (), "in_order": False}))

    machine.Machine.__init__ = init


def count_ids_from_one() -> None:
    """The first use of an id has the key id#1."""
    before = machine.step_key
    machine.step_key = lambda step_id, index: before(step_id, index + 1)


def forget_leases() -> None:
    """A new connection does not ask for the leases of the old one."""
    before = Session._hello
    Session._hello = lambda self, _: before(self, [])


def ignore_lost_leases() -> None:
    """A stale epoch is taken for a success."""
    before = stream._ack

    def ack(message: Any) -> Any:
        answer = before(message)
        return answer._replace(status=AckStatus.COMMITTED) if answer.status == AckStatus.STALE_EPOCH else answer

    stream._ack = ack


def ignore_cancellations() -> None:
    """A run that was taken away goes on."""
    Executor.taken_away = lambda *_: None


def retry_what_is_final() -> None:
    """Errors that are never to be retried are reported as any other."""
    script.NonRetriableError = Exception


def die_of_sigterm() -> None:
    """No drain."""
    Worker.run = lambda self: asyncio.run(self.run_async())


def beat_too_late() -> None:
    """The first heartbeat comes when the session has been given up."""
    before, left_out = Outbox.beat, iter(range(5))

    def beat(self: Outbox, *, sure_until: float) -> None:
        if next(left_out, None) is None:
            before(self, sure_until=sure_until)

    Outbox.beat = beat


def run_ahead() -> None:
    """A step begins before the one before it is recorded."""
    before = Invocation.hand_in

    def hand_in(self: Invocation, call: Any, report: bytes | None, **options: Any) -> None:
        before(self, call, report, **options)
        if report is not None and call.kind is StepKind.RUN:
            self.acked(IncomingAck(self.lease, call.key, AckStatus.COMMITTED, "", None))

    Invocation.hand_in = hand_in


def ignore_resolutions() -> None:
    """What was met while the run is here is waited for all the same."""
    Executor.resolved = lambda *_: None


def take_any_ack() -> None:
    """An ack answers whatever report of its step is there."""
    outbox._is_of_earlier_try = lambda *_: False


def grant_too_much() -> None:
    """More credit than there are slots."""
    before = Slots.__init__
    Slots.__init__ = lambda self, count: before(self, count + 1)


def fill_frames() -> None:
    """All reports go into one frame, however large that is."""
    before = frames.reports
    frames.reports = lambda items, **_: before(items, bytes_max=10**9)


def begin_another_trace() -> None:
    """The function's trace is not its event's."""
    Context.traceparent = property(lambda _: f"00-{'1' * 32}-{'2' * 16}-01")


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "none": lambda: None,
    **{
        fault.__name__.replace("_", "-"): fault
        for fault in (
            return_another_value,
            forget_the_journal,
            count_ids_from_one,
            forget_leases,
            ignore_lost_leases,
            ignore_cancellations,
            retry_what_is_final,
            die_of_sigterm,
            beat_too_late,
            run_ahead,
            ignore_resolutions,
            take_any_ack,
            grant_too_much,
            fill_frames,
            begin_another_trace,
        )
    },
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    worker_under_test.main()
