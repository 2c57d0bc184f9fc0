"""What becomes of a watch when its server stops."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from controlplane.app import App
from controlplane.config import Address, Config
from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, run_pb2, run_pb2_grpc


async def test_a_watch_does_not_keep_a_server_from_stopping(tmp_path: Path) -> None:
    """The watcher of a run that nobody works on is told UNAVAILABLE, rather than waited for or cut off."""
    app = App(Config(db=tmp_path / "steplane.db", listen=Address("127.0.0.1", 0), synchronous="normal"))
    await app.start()
    async with grpc.aio.insecure_channel(str(app.address)) as channel:
        functions = function_pb2_grpc.FunctionServiceStub(channel)
        definition = function_pb2.FunctionDefinition(
            app_id="shop",
            function_id="checkout",
            triggers=[function_pb2.Trigger(event=function_pb2.EventTrigger(event="shop/order.created"))],
        )
        await functions.RegisterFunction(function_pb2.RegisterFunctionRequest(definition=definition))
        started = await functions.TriggerFunction(function_pb2.TriggerFunctionRequest(function_id="checkout"))
        watch = aiter(run_pb2_grpc.RunServiceStub(channel).WatchRun(run_pb2.WatchRunRequest(run_id=started.run_id)))
        assert (await anext(watch)).run.state == run_pb2.RUN_STATE_QUEUED
        await app.stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(watch)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "the server is stopping"
