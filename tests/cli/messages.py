"""Messages of the contract for tests of what the command line shows, at moments that count from one start."""

from __future__ import annotations

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.gen.steplane.v1 import event_pb2, payload_pb2, run_pb2

START: Final = 1_767_265_200_000_000
"""2026-01-01 11:00:00 UTC, in microseconds since 1970."""
SECOND: Final = 1_000_000
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"


def at(seconds: float) -> Timestamp:
    """So many seconds after the start."""
    moment = Timestamp()
    moment.FromMicroseconds(START + round(seconds * SECOND))
    return moment


def traceparent(trace: str = TRACE) -> str:
    """A trace context of a trace."""
    return f"00-{trace}-00f067aa0ba902b7-01"


def event(id_: str, name: str, *, source: tuple[str, str] = ("", ""), trace: str = TRACE) -> run_pb2.EventRecord:
    """An event that was received at the start."""
    return run_pb2.EventRecord(
        event=event_pb2.Event(
            id=id_, name=name, data=payload_pb2.Payload(data=b'{"id": 1}'), ts=at(0), traceparent=traceparent(trace)
        ),
        receive_time=at(0),
        source_run_id=source[0],
        source_step_key=source[1],
    )


def run(
    id_: str,
    function: str,
    state: run_pb2.RunState,
    *,
    event_id: str,
    took: float | None = None,
    due: float | None = None,
    failure: payload_pb2.Failure | None = None,
    output: bytes | None = None,
    attempt: int = 0,
    steps: int = 0,
    trace: str = TRACE,
    need: run_pb2.RunNeed = run_pb2.RUN_NEED_UNSPECIFIED,
    queued: float | None = None,
    event_ids: tuple[str, ...] = (),
    replay_of: str = "",
    deliveries: int = 0,
) -> run_pb2.Run:
    """A run that was queued at the start."""
    app_id, function_id = function.split("/")
    return run_pb2.Run(
        id=id_,
        namespace="default",
        app_id=app_id,
        function_id=function_id,
        state=state,
        event_id=event_id,
        event_name="shop/order.created",
        epoch=1,
        attempt=attempt,
        step_count=steps,
        create_time=at(0),
        start_time=at(0.004) if state != run_pb2.RUN_STATE_SKIPPED else None,
        end_time=at(took) if took is not None else None,
        due_time=at(due) if due is not None else None,
        output=payload_pb2.Payload(data=output) if output is not None else None,
        failure=failure,
        traceparent=traceparent(trace),
        need=need,
        queue_time=at(queued) if queued is not None else None,
        event_ids=event_ids,
        replay_of=replay_of,
        deliveries=deliveries,
    )


def step(
    key: str,
    state: run_pb2.StepState = run_pb2.STEP_STATE_COMPLETED,
    *,
    kind: run_pb2.StepKind = run_pb2.STEP_KIND_RUN,
    took: float | None = 0.012,
    due: float | None = None,
    attempts: int = 1,
    output: bytes | None = None,
    failure: payload_pb2.Failure | None = None,
    event_ids: tuple[str, ...] = (),
    target: str = "",
    run_id: str = "",
) -> run_pb2.JournalEntry:
    """A step that began a tenth of a second after the start."""
    return run_pb2.JournalEntry(
        step_key=key,
        kind=kind,
        state=state,
        output=payload_pb2.Payload(data=output) if output is not None else None,
        failure=failure,
        attempts=attempts,
        start_time=at(0.1),
        end_time=at(0.1 + took) if took is not None else None,
        due_time=at(due) if due is not None else None,
        event_ids=event_ids,
        traceparent=traceparent(),
        target=target,
        run_id=run_id,
    )
