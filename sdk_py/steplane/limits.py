"""What the server refuses for good, as its welcome told."""

from __future__ import annotations

from typing import Final, NamedTuple

#: What a frame holds beside one output: ids, keys, tags.
_FRAME_REST_BYTES: Final = 1024


class Limits(NamedTuple):
    """0 where the server did not say."""

    event_bytes_max: int = 0
    batch_events_max: int = 0
    batch_bytes_max: int = 0
    step_output_bytes_max: int = 0
    run_steps_max: int = 0
    frame_bytes_max: int = 0

    @property
    def output_bytes_max(self) -> int:
        """What the output of a step or of a run can have; 0 if any size."""
        frame = max(self.frame_bytes_max - _FRAME_REST_BYTES, 0)
        return min(self.step_output_bytes_max or frame, frame or self.step_output_bytes_max)
