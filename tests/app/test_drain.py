"""How a server stops while a worker is at work."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, run_pb2, run_pb2_grpc, work_pb2, work_pb2_grpc
from tests.app.conftest import SECONDS_MAX, Server

Serve = Callable[..., Server]
Work = Callable[[Server], "Worker"]


class Worker:
    """A stream that holds one invocation."""

    def __init__(self, server: Server) -> None:
        self._channel = server.channel()
        functions = function_pb2_grpc.FunctionServiceStub(self._channel)
        trigger = function_pb2.Trigger(event=function_pb2.EventTrigger(event="app/thing.done"))
        definition = function_pb2.FunctionDefinition(app_id="app", function_id="f", triggers=[trigger])
        functions.RegisterFunction(function_pb2.RegisterFunctionRequest(definition=definition), timeout=SECONDS_MAX)
        self._frames: SimpleQueue[work_pb2.StreamWorkRequest | None] = SimpleQueue()
        stub = work_pb2_grpc.WorkServiceStub(self._channel)
        self._answers = stub.StreamWork(iter(self._frames.get, None), timeout=2 * SECONDS_MAX)
        hello = work_pb2.Hello(app_id="app", function_ids=["f"], instance_id="i1")
        self.say(hello=hello)
        self.say(credit=work_pb2.Credit(invocation_limit=10))
        server.send("e1")
        (self.invocation,) = self.hear("invocations").invocations

    def say(self, **frame: object) -> None:
        """Send a frame."""
        self._frames.put(work_pb2.StreamWorkRequest(**frame))  # type: ignore[arg-type]

    def report(self, **body: object) -> work_pb2.Ack:
        """Report on the invocation; the ack."""
        held = {"run_id": self.invocation.run_id, "epoch": self.invocation.epoch}
        report = work_pb2.Report(**held, **body)  # type: ignore[arg-type]
        self.say(reports=work_pb2.Reports(reports=[report]))
        acks: work_pb2.Acks = self.hear("acks")
        return acks.acks[0]

    def hear(self, kind: str) -> Any:
        """The next frame of a kind."""
        for answer in self._answers:
            if answer.WhichOneof("frame") == kind:
                return getattr(answer, kind)
        raise AssertionError(f"the stream ended without {kind}")

    def end(self) -> grpc.StatusCode:
        """Hear to the end of the stream; its status."""
        try:
            for _ in self._answers:
                pass
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def leave(self) -> None:
        """End the worker's half of the stream."""
        self._frames.put(None)

    def close(self) -> None:
        """Break everything off."""
        self.leave()
        self._channel.close()


@pytest.fixture
def work() -> Iterator[Callable[[Server], Worker]]:
    """Starts workers, and ends them."""
    workers: list[Worker] = []

    def start(server: Server) -> Worker:
        workers.append(Worker(server))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def _run_state(server: Server, run_id: str) -> str:
    with server.channel() as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        answer = stub.GetRun(run_pb2.GetRunRequest(run_id=run_id), timeout=SECONDS_MAX)
    return run_pb2.RunState.Name(answer.run.state)


def test_a_worker_may_finish_what_it_is_at(serve: Serve, work: Work) -> None:
    """It is told to go, and what it reports until it has gone is acknowledged and kept; then the server goes too."""
    server = serve("--drain-timeout", "60s")
    server.wait_for("server_started")
    worker = work(server)

    server.signal(signal.SIGTERM)

    worker.hear("drain")
    assert (
        worker.report(step_key="a#0", step_completed=work_pb2.StepCompleted(attempt=1)).status
        == work_pb2.ACK_STATUS_COMMITTED
    )
    assert worker.report(run_completed=work_pb2.RunCompleted()).status == work_pb2.ACK_STATUS_COMMITTED
    worker.leave()
    assert worker.end() is grpc.StatusCode.OK
    assert server.wait() == 0
    again = serve()
    again.wait_for("server_started")
    assert _run_state(again, worker.invocation.run_id) == "RUN_STATE_COMPLETED"


def test_nothing_new_is_taken_in_meanwhile(serve: Serve, work: Work) -> None:
    """Health says that the server is going; who sends or connects is told to go elsewhere; reading goes on."""
    server = serve("--drain-timeout", "60s")
    server.wait_for("server_started")
    worker = work(server)

    server.signal(signal.SIGTERM)

    worker.hear("drain")
    with server.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=SECONDS_MAX)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    for refused in (lambda: server.send("e3"), lambda: work(server)):
        with pytest.raises(grpc.RpcError) as error:
            refused()
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert _run_state(server, worker.invocation.run_id) == "RUN_STATE_RUNNING"
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_the_drain_time_is_a_limit(serve: Serve, work: Work) -> None:
    """A worker that does not go is left; its run is given to the next one, and no recorded step is lost."""
    server = serve("--drain-timeout", "100ms")
    server.wait_for("server_started")
    worker = work(server)
    worker.report(step_key="a#0", step_completed=work_pb2.StepCompleted(attempt=1))

    server.signal(signal.SIGTERM)

    assert worker.end() is grpc.StatusCode.UNAVAILABLE
    assert server.wait() == 0
    again = serve("--session-grace", "50ms")
    again.wait_for("server_started")
    other = work(again)
    assert other.invocation.run_id == worker.invocation.run_id
    assert other.invocation.epoch > worker.invocation.epoch
    assert [entry.step_key for entry in other.invocation.journal] == ["a#0"]


def test_a_second_signal_is_obeyed_at_once(serve: Serve, work: Work) -> None:
    """Nobody waits for workers then; what was acknowledged is there all the same."""
    server = serve("--drain-timeout", "10m")
    server.wait_for("server_started")
    worker = work(server)
    worker.report(run_completed=work_pb2.RunCompleted())

    server.signal(signal.SIGTERM)
    worker.hear("drain")
    server.signal(signal.SIGTERM)

    assert server.wait() == 0
    again = serve()
    again.wait_for("server_started")
    assert _run_state(again, worker.invocation.run_id) == "RUN_STATE_COMPLETED"
