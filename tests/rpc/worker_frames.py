"""What a worker says and hears, in a line each."""

from __future__ import annotations

from typing import Any

from controlplane.gen.steplane.v1 import run_pb2
from controlplane.gen.steplane.v1 import work_pb2 as work
from tests.rpc.conftest import Served, Worker

EVENT = "shop/order.created"


def completed(lease: Any, step_key: str, output: bytes = b"1") -> work.Report:
    """A step that returned."""
    body = {"output": {"data": output}, "attempt": 1}
    return work.Report(run_id=lease.run_id, epoch=lease.epoch, step_key=step_key, step_completed=body)


def ended(lease: Any) -> work.Report:
    """A function that returned."""
    return work.Report(run_id=lease.run_id, epoch=lease.epoch, run_completed={"output": {"data": b'"ok"'}})


def sleeping(lease: Any, step_key: str, seconds: int) -> work.Report:
    """A sleep that begins."""
    body = {"duration": {"seconds": seconds}}
    return work.Report(run_id=lease.run_id, epoch=lease.epoch, step_key=step_key, sleep_started=body)


def parked(lease: Any, *blocked_by: str) -> work.Report:
    """A run that can't go on."""
    return work.Report(run_id=lease.run_id, epoch=lease.epoch, run_parked={"blocked_by": blocked_by})


async def invoked(worker: Worker) -> Any:
    """The one invocation of the next frame."""
    (invocation,) = (await worker.expect("invocations")).invocations
    return invocation


async def a_run(served: Served, **options: Any) -> tuple[Worker, Any]:
    """A worker with one invocation."""
    await served.register("checkout")
    worker = await served.connect("checkout", **options)
    await served.send(EVENT)
    return worker, await invoked(worker)


async def state_of(served: Served, run_id: str) -> str:
    """Where a run stands."""
    run = (await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run
    return run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_")
