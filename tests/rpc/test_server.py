"""What holds for every service: health, reflection, the port, and errors that nobody meant."""

from __future__ import annotations

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from controlplane.core.limits import Limits
from controlplane.gen.steplane.v1 import function_pb2, run_pb2
from controlplane.rpc.server import SERVICE_NAMES, PortUnavailable, RpcServer
from tests.rpc.conftest import Served, refusal_of

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health_of(served: Served) -> health_pb2_grpc.HealthStub:
    """A client of the health service."""
    return health_pb2_grpc.HealthStub(served.channel)


def test_there_are_four_services() -> None:
    """One for each right to grant."""
    assert SERVICE_NAMES == (
        "steplane.v1.EventService",
        "steplane.v1.FunctionService",
        "steplane.v1.RunService",
        "steplane.v1.WorkService",
    )


async def test_health_is_told_for_each_service(served: Served) -> None:
    """SERVING, until the server is stopping; a service that there is not is NOT_FOUND."""
    check = health_of(served).Check
    for name in ("", *SERVICE_NAMES):
        assert (await check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
    assert (await refusal_of(check(health_pb2.HealthCheckRequest(service="x")))).code is grpc.StatusCode.NOT_FOUND
    await served.server.tell_stopping()
    for name in ("", *SERVICE_NAMES):
        assert (await check(health_pb2.HealthCheckRequest(service=name))).status == NOT_SERVING


async def test_a_watcher_of_health_is_told_at_once(served: Served) -> None:
    """Load balancers turn elsewhere before the server is gone."""
    watch = health_of(served).Watch(health_pb2.HealthCheckRequest(service=SERVICE_NAMES[0]))
    assert (await watch.read()).status == SERVING
    await served.server.tell_stopping()
    assert (await watch.read()).status == NOT_SERVING
    watch.cancel()


async def test_reflection_tells_the_services(served: Served) -> None:
    """grpcurl needs no files."""
    call = reflection_pb2_grpc.ServerReflectionStub(served.channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    answer = await call.read()
    assert {one.name for one in answer.list_services_response.service} > set(SERVICE_NAMES)
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE_NAMES[3]))
    assert (await call.read()).file_descriptor_response.file_descriptor_proto
    await call.done_writing()


async def test_a_port_that_is_taken_is_refused(served: Served) -> None:
    """Two servers on one port would each get half of the calls."""
    second = RpcServer(served.services, limits=Limits(), tls=None, with_reflection=False)
    with pytest.raises(PortUnavailable, match=served.address):
        await second.start(served.address)


async def test_a_bug_is_an_internal_error_and_a_line_in_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller learns nothing of it; the log has its trace. The next call is answered."""

    def read() -> None:
        raise RuntimeError("secret")

    for ask in (
        lambda: served.functions.GetFunction(function_pb2.GetFunctionRequest(function_id="x")),
        lambda: served.runs.WatchRun(run_pb2.WatchRunRequest(run_id="x")).read(),
    ):
        with monkeypatch.context() as broken, structlog.testing.capture_logs() as lines:
            broken.setattr(served.store, "read", read)
            refusal = await refusal_of(ask())
        assert (refusal.code, refusal.message) == (grpc.StatusCode.INTERNAL, "internal error")
        (line,) = [line for line in lines if line["event"] == "call_failed"]
        assert isinstance(line["exc_info"], RuntimeError)
        assert (await refusal_of(ask())).code is grpc.StatusCode.NOT_FOUND


async def test_a_refusal_is_no_error_of_the_server(served: Served) -> None:
    """It is worth a line for who looks closely, and no more; no line has what was sent."""
    with structlog.testing.capture_logs() as lines:
        await refusal_of(served.functions.GetFunction(function_pb2.GetFunctionRequest(function_id="se cret")))
        await served.send("a", data=b'{"a":"se cret"}')
    assert {line["log_level"] for line in lines} == {"debug"}
    assert "se cret" not in str(lines)


async def test_a_call_that_there_is_not(served: Served) -> None:
    """UNIMPLEMENTED, as gRPC has it."""
    call = served.channel.unary_unary("/steplane.v1.EventService/Nothing")(b"")
    assert (await refusal_of(call)).code is grpc.StatusCode.UNIMPLEMENTED
