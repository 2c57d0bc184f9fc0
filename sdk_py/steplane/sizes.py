"""What is larger than the server takes: refused here, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from steplane.errors import TooLargeError
from steplane.gen.steplane.v1 import event_pb2
from steplane.limits import Limits


def check_output(data: bytes, key: str, limits: Limits) -> None:
    """The result of a step."""
    most = limits.output_bytes_max
    if most and len(data) > most:
        raise TooLargeError(
            f"the result of step {key!r} has {len(data)} bytes; {most} are the most. Store it elsewhere and return where"
        )


def check_batch(messages: Sequence[event_pb2.Event], step_id: str, limits: Limits) -> None:
    """The events of a step."""
    if limits.batch_events_max and len(messages) > limits.batch_events_max:
        raise TooLargeError(
            f"step {step_id!r} sends {len(messages)} events; {limits.batch_events_max} are the most. Send them in several steps"
        )
    for index, message in enumerate(messages):
        size = len(message.data.data)
        if limits.event_bytes_max and size > limits.event_bytes_max:
            raise TooLargeError(
                f"step {step_id!r}: the data of event {index} has {size} bytes; {limits.event_bytes_max} are the most. "
                "Store it elsewhere and send where"
            )
    total = sum(message.ByteSize() for message in messages)
    if limits.batch_bytes_max and total > limits.batch_bytes_max:
        raise TooLargeError(
            f"the events of step {step_id!r} have {total} bytes; {limits.batch_bytes_max} are the most. "
            "Send them in several steps"
        )


def check_data(data: bytes, step_id: str, limits: Limits) -> None:
    """What a step gives to another run."""
    most = limits.event_bytes_max
    if most and len(data) > most:
        raise TooLargeError(
            f"the data of step {step_id!r} has {len(data)} bytes; {most} are the most. Store it elsewhere and say where"
        )
