"""What an error that was raised in a user's code says: to people, and about trying again."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from steplane.codec import as_timedelta, encode_duration
from steplane.errors import NonRetriableError, RetryAfterError, StepError
from steplane.gen.steplane.v1 import payload_pb2, work_pb2

_TEXT_BYTES_MAX: Final = 16 * 1024
_HERE: Final = str(Path(__file__).parent)


def failure_of(error: BaseException, *, step_key: str = "") -> payload_pb2.Failure:
    """An error for the wire. One that a step failed with keeps that step's name, message and stack."""
    if isinstance(error, StepError):
        return payload_pb2.Failure(
            name=error.name or "StepError",
            message=_cut(error.message),
            stack=_cut(error.stack),
            step_key=step_key or error.step_key,
        )
    return payload_pb2.Failure(
        name=type(error).__name__, message=_cut(_text_of(error)), stack=_cut(_stack_of(error)), step_key=step_key
    )


def directive_of(error: BaseException, *, now_ns: int) -> work_pb2.RetryDirective | None:
    """What an error says about trying again; `None` leaves it to the retry policy."""
    if _is_final(error):
        return work_pb2.RetryDirective(never=True)
    if isinstance(error, RetryAfterError):
        return work_pb2.RetryDirective(after=encode_duration(_wait_of(error, now_ns)))
    return None


def _is_final(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_final(each) for each in error.exceptions)
    return isinstance(error, NonRetriableError | StepError)


def _wait_of(error: RetryAfterError, now_ns: int) -> timedelta:
    if not isinstance(error.after, datetime):
        return max(as_timedelta(error.after), timedelta())
    moment = error.after if error.after.tzinfo is not None else error.after.astimezone()
    now = datetime.fromtimestamp(now_ns / 1e9, tz=UTC)
    return max(moment - now, timedelta())


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 an error whose text can't be had must not hide that it happened
        return f"<its text can't be had: {broken!r}>"


def _stack_of(error: BaseException) -> str:
    frame = error.__traceback__
    # The SDK's own frames, which every stack begins with, tell a user nothing.
    while frame is not None and frame.tb_next is not None and frame.tb_frame.f_code.co_filename.startswith(_HERE):
        frame = frame.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frame))
    except Exception as broken:  # noqa: BLE001 the same
        return f"<its stack can't be had: {broken!r}>"


def _cut(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= _TEXT_BYTES_MAX:
        return data.decode()
    half = _TEXT_BYTES_MAX // 2
    return f"{data[:half].decode(errors='ignore')}\n… {len(data) - 2 * half} bytes cut …\n{data[-half:].decode(errors='ignore')}"
