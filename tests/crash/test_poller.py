"""A worker without a stream, whose server is killed with SIGKILL between its poll and its report."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from controlplane.gen.steplane.v1 import event_pb2, function_pb2, function_pb2_grpc, run_pb2, run_pb2_grpc, work_pb2
from controlplane.gen.steplane.v1.work_pb2_grpc import WorkServiceStub
from tests.crash.stage import SECONDS_MAX, Stage, wait_until

HELLO = work_pb2.Hello(app_id="crash", function_ids=["parent"], instance_id="poller")


@pytest.fixture
def channel(stage: Stage) -> Iterator[grpc.Channel]:
    """A channel to whichever server there is: a call waits for one."""
    quick = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
    with grpc.insecure_channel(f"127.0.0.1:{stage.port}", options=quick) as channel:
        yield channel


def test_the_server_is_killed_between_a_poll_and_its_report(stage: Stage, channel: grpc.Channel) -> None:
    """The lease stands after the restart: the report counts, with the same epoch, and no step is lost or repeated."""
    stage.patience = ["--session-grace", "100ms"]
    work = WorkServiceStub(channel)
    stage.start_server()
    lease = _poll_for_a_run(stage, channel)
    assert _report(work, _step(lease, "one#0")) == work_pb2.ACK_STATUS_COMMITTED

    for killed, key in enumerate(("two#0", "three#0"), start=1):
        stage.kill_server()
        wait_until(lambda: len(stage.deaths) == killed)  # noqa: B023 it is called in this round only
        assert _report(work, _step(lease, "one#0")) == work_pb2.ACK_STATUS_DUPLICATE
        assert _report(work, _step(lease, key)) == work_pb2.ACK_STATUS_COMMITTED
    end = work_pb2.Report(run_id=lease.run_id, epoch=lease.epoch, run_completed={})
    assert _report(work, end) == work_pb2.ACK_STATUS_COMMITTED
    run = run_pb2_grpc.RunServiceStub(channel).GetRun(run_pb2.GetRunRequest(run_id=lease.run_id)).run
    assert (run.state, run.epoch, run.step_count) == (run_pb2.RUN_STATE_COMPLETED, 1, 3)

    stage.stop_server()


def _poll_for_a_run(stage: Stage, channel: grpc.Channel) -> work_pb2.Invocation:
    trigger = function_pb2.Trigger(event=function_pb2.EventTrigger(event="crash/parent"))
    definition = function_pb2.FunctionDefinition(app_id="crash", function_id="parent", triggers=[trigger])
    request = function_pb2.RegisterFunctionRequest(definition=definition)
    function_pb2_grpc.FunctionServiceStub(channel).RegisterFunction(request, wait_for_ready=True)
    stage.send_batch([event_pb2.Event(id="event-1", name="crash/parent")])
    poll = work_pb2.PollWorkRequest(hello=HELLO, max_invocations=1)
    (invocation,) = WorkServiceStub(channel).PollWork(poll, wait_for_ready=True).invocations
    return invocation


def _step(lease: work_pb2.Invocation, key: str) -> work_pb2.Report:
    body = work_pb2.StepCompleted(attempt=1)
    return work_pb2.Report(run_id=lease.run_id, epoch=lease.epoch, step_key=key, step_completed=body)


def _report(work: WorkServiceStub, report: work_pb2.Report) -> int:
    """What became of a report that is sent again until it is answered, as a worker does."""
    request = work_pb2.ReportRequest(reports=[report])
    while True:
        try:
            (ack,) = work.Report(request, wait_for_ready=True, timeout=SECONDS_MAX).acks
        except grpc.RpcError as error:
            # The channel may not know yet that its server is gone.
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        else:
            return ack.status
