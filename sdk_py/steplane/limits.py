"""What the server refuses for good, as its welcome told."""

from __future__ import annotations

from typing import Final, NamedTuple

from steplane.gen.steplane.v1 import work_pb2

#: What a frame holds beside one output: ids, keys, tags.
_FRAME_REST_BYTES: Final = 1024


class Limits(NamedTuple):
    """0 where the server did not say."""

    event_bytes_max: int = 0
    batch_events_max: int = 0
    batch_bytes_max: int = 0
    run_steps_max: int = 0
    frame_bytes_max: int = 0

    output_bytes_max: int = 0
    """What the output of a step or of a run can have."""


def limits_of(told: work_pb2.Limits) -> Limits:
    """The limits that a server told."""
    outputs = [told.step_output_bytes_max, told.frame_bytes_max - _FRAME_REST_BYTES]
    return Limits(
        event_bytes_max=told.event_bytes_max,
        batch_events_max=told.batch_events_max,
        batch_bytes_max=told.batch_bytes_max,
        run_steps_max=told.run_steps_max,
        frame_bytes_max=told.frame_bytes_max,
        output_bytes_max=min((each for each in outputs if each > 0), default=0),
    )
