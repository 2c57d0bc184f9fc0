"""What ends a server against its will, and what is there after its restart."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable

import grpc
import pytest

from controlplane.gen.steplane.v1 import run_pb2, run_pb2_grpc
from tests.app.conftest import SECONDS_MAX, Server

Serve = Callable[..., Server]


def _event_ids(server: Server) -> set[str]:
    with server.channel() as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        answer = stub.ListEvents(run_pb2.ListEventsRequest(page_size=1_000), timeout=SECONDS_MAX)
    return {listed.event.id for listed in answer.events}


def _send_until_it_ends(server: Server, *, padding: int) -> tuple[list[str], str]:
    """The ids of the events that were acknowledged, and the one that was not."""
    acknowledged: list[str] = []
    while True:
        id_ = f"e{len(acknowledged)}"
        try:
            server.send(id_, padding=padding)
        except grpc.RpcError as error:
            if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
                raise
            return acknowledged, id_
        acknowledged.append(id_)


@pytest.mark.parametrize("name", ["before_commit", "after_commit", "after_release"])
def test_a_failpoint_kills_it_and_nothing_acknowledged_is_lost(serve: Serve, name: str) -> None:
    """It dies at the pass that was asked for; what was acknowledged is there, and at most one event more."""
    server = serve(STEPLANE_FAILPOINT=f"{name}:20")
    server.wait_for("server_started")

    acknowledged, last = _send_until_it_ends(server, padding=0)

    assert server.wait() == -signal.SIGKILL
    again = serve()
    again.wait_for("server_started")
    assert 0 < len(acknowledged) <= 20
    assert _event_ids(again) - {last} == set(acknowledged)


def test_a_store_that_fails_ends_it(serve: Serve) -> None:
    """After an error of the disk nothing is acknowledged any more, and the process ends with an error and says why.

    After a restart with a sound disk everything that was acknowledged is there.
    """
    server = serve()
    server.wait_for("server_started")
    limit = 2**20
    assert server.db.stat().st_size < limit
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, limit))

    acknowledged, last = _send_until_it_ends(server, padding=100_000)

    assert server.wait() == 1
    assert [line["event"] for line in server.lines if line["level"] == "critical"] == [
        "committer_failed",
        "server_failed",
    ]
    again = serve()
    again.wait_for("server_started")
    assert len(acknowledged) > 1
    assert _event_ids(again) - {last} == set(acknowledged)
