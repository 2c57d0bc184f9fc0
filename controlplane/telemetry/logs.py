"""Every log line, ours and those of libraries, one a line on stderr: coloured for people, JSON for programs.

A line is an event with fields. Payloads are never logged: fields that could carry one are taken out.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

#: Fields by whose name somebody could log what belongs to a user.
PAYLOAD_FIELDS: Final = frozenset({"args", "body", "data", "input", "kwargs", "output", "payload", "payloads"})


def set_up(*, level: str, form: str, stream: TextIO | None = None) -> None:
    """Log what is of `level` or above, as `form` says: "console", "json", or "auto" for what suits the stream."""
    stream = stream if stream is not None else sys.stderr
    is_terminal = stream.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold_payloads,
    ]
    final: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)]
        if form == "console" or (form == "auto" and is_terminal)
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _take_in_libraries(number, shared, final, stream)


def withhold_payloads(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out the fields that could carry what belongs to a user."""
    for name in PAYLOAD_FIELDS & event.keys():
        del event[name]
    return event


def _take_in_libraries(level: int, shared: Sequence[Processor], final: Sequence[Processor], stream: TextIO) -> None:
    """Let what libraries log through `logging`, gRPC's among it, come out in the same form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))  # what libraries tell of themselves at debug drowns all else
