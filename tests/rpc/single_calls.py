"""What a worker without a stream asks and reports, in a line each."""

from __future__ import annotations

from typing import Any

from controlplane.gen.steplane.v1 import work_pb2 as work
from tests.rpc.conftest import APP, PATIENCE_SECONDS, Served
from tests.rpc.worker_frames import EVENT

LONG = {"seconds": 60}
"""As long as a poll may wait: a test that ends before was woken."""


def polling(
    served: Served, *, instance_id: str = "p1", most: int = 1, wait: Any = None, held: Any = (), **hello: Any
) -> Any:
    """A poll that was begun: a call to wait for, or to cancel."""
    hello = {"app_id": APP, "function_ids": ["checkout"], "instance_id": instance_id, "held": held} | hello
    request = work.PollWorkRequest(hello=hello, max_invocations=most, wait=wait)
    # Far beyond what a poll may wait, so that no test meets its deadline, and none hangs.
    return served.work.PollWork(request, timeout=60 + PATIENCE_SECONDS)


async def polled(served: Served, **options: Any) -> Any:
    """The one invocation that there is work for now."""
    (invocation,) = (await polling(served, **options)).invocations
    return invocation


async def a_polled_run(served: Served, **options: Any) -> Any:
    """An invocation that a poll took."""
    await served.register("checkout")
    await served.send(EVENT)
    return await polled(served, **options)


def lease_of(invocation: Any) -> work.Lease:
    """The lease of an invocation."""
    return work.Lease(run_id=invocation.run_id, epoch=invocation.epoch)


async def reported(served: Served, *reports: work.Report, held: Any = (), namespace: str = "") -> work.ReportResponse:
    """The answer to reports of a single call."""
    request = work.ReportRequest(namespace=namespace, reports=reports, held=held)
    answer: work.ReportResponse = await served.work.Report(request, timeout=PATIENCE_SECONDS)
    return answer


async def statuses(served: Served, *reports: work.Report) -> list[str]:
    """What became of each report."""
    acks = (await reported(served, *reports)).acks
    return [work.AckStatus.Name(ack.status).removeprefix("ACK_STATUS_") for ack in acks]
