"""Frames as bytes: what is put together by hand is what protobuf reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steplane.gen.steplane.v1 import work_pb2
from steplane.worker import frames


def parse(frame: bytes) -> work_pb2.StreamWorkRequest:
    """A frame as the server reads it."""
    return work_pb2.StreamWorkRequest.FromString(frame)


@given(st.lists(st.tuples(st.text(max_size=300), st.integers(0, 2**32 - 1)), max_size=30), st.integers(1, 2000))
def test_reports_arrive_whole_and_in_order(items: list[tuple[str, int]], bytes_max: int) -> None:
    """However many frames they take, no report is lost or changed, none is moved, and no frame is too large."""
    reports = [work_pb2.Report(run_id=run_id, epoch=epoch) for run_id, epoch in items]
    made = list(frames.reports([report.SerializeToString() for report in reports], bytes_max=bytes_max))
    arrived = [report for frame in made for report in parse(frame).reports.reports]
    assert arrived == reports
    for frame in made:
        assert len(frame) <= bytes_max or len(parse(frame).reports.reports) == 1
        assert parse(frame).SerializeToString() == frame


def test_the_other_frames_say_what_they_should() -> None:
    """Hello, credit, heartbeat, release and drain."""
    hello = parse(
        frames.hello(namespace="n", app_id="a", function_ids=["f", "g"], instance_id="i", held=[("r1", 2)])
    ).hello
    assert (hello.namespace, hello.app_id, list(hello.function_ids), hello.instance_id) == ("n", "a", ["f", "g"], "i")
    assert [(lease.run_id, lease.epoch) for lease in hello.held] == [("r1", 2)]
    assert hello.sdk.startswith("steplane-py/")
    assert hello.language.startswith("python/3")
    assert parse(frames.credit(7)).credit.invocation_limit == 7
    assert parse(frames.heartbeat([("r1", 2)])).heartbeat.held[0].epoch == 2
    assert parse(frames.heartbeat([])).WhichOneof("frame") == "heartbeat"
    assert parse(frames.release([("r1", 2)])).release.leases[0].run_id == "r1"
    assert parse(frames.drain()).WhichOneof("frame") == "drain"
