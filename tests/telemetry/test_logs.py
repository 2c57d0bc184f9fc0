"""What log lines look like, and what never is in one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from typing_extensions import override

from controlplane.telemetry import logs


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that people look at."""

    @override
    def isatty(self) -> bool:
        """It is one."""
        return True


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_programs_get_json_with_time_and_bound_fields() -> None:
    """One object a line, in UTC, with what was bound for the call."""
    stream = io.StringIO()
    logs.set_up(level="info", form="auto", stream=stream)

    with structlog.contextvars.bound_contextvars(run_id="r1"):
        structlog.get_logger().info("run_parked", epoch=3)

    (line,) = _lines(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "run_parked", "level": "info", "run_id": "r1", "epoch": 3}


def test_people_get_colour() -> None:
    """On a terminal lines are for reading, unless JSON is asked for."""
    stream = Terminal()
    logs.set_up(level="info", form="auto", stream=stream)

    structlog.get_logger().info("run_parked", epoch=3)

    assert "\x1b[" in stream.getvalue()
    assert "run_parked" in stream.getvalue()
    stream = Terminal()
    logs.set_up(level="info", form="json", stream=stream)
    structlog.get_logger().info("run_parked")
    assert _lines(stream)[0]["event"] == "run_parked"


def test_payloads_are_withheld() -> None:
    """A field that could carry what belongs to a user is not written, whoever logs it."""
    stream = io.StringIO()
    logs.set_up(level="debug", form="json", stream=stream)

    structlog.get_logger().info("step_recorded", step_key="a#0", output=b"secret", data="secret")
    logging.getLogger("library").warning("said", extra={"payload": "secret"})

    assert "secret" not in stream.getvalue()
    assert _lines(stream)[0]["step_key"] == "a#0"


def test_libraries_log_in_the_same_form() -> None:
    """What comes through `logging` is a line as all others, with the name of its logger."""
    stream = io.StringIO()
    logs.set_up(level="warning", form="json", stream=stream)

    logging.getLogger("grpc").info("not worth a line")
    logging.getLogger("grpc").error("bind failed: %s", "in use")
    structlog.get_logger().info("not_worth_a_line_either")

    (line,) = _lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("bind failed: in use", "grpc", "error")


def test_an_error_is_logged_with_its_trace_and_without_values() -> None:
    """A trace names lines of code, and no values of variables."""
    for form in ("json", "console"):
        stream = io.StringIO()
        logs.set_up(level="info", form=form, stream=stream)
        data = "".join(["sec", "ret"])
        try:
            int("x" if data else "")
        except ValueError:
            structlog.get_logger().exception("loop_failed")

        assert "ValueError: invalid literal" in stream.getvalue()
        assert "secret" not in stream.getvalue()
