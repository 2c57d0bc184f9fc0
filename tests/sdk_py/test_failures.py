"""What an error says: to people, and about trying again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from steplane import NonRetriableError, RetryAfterError, StepError, TooLargeError
from steplane.failures import directive_of, failure_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 1_000_000_000
STEP_ERROR = StepError(name="ValueError", message="boom", stack="a stack", step_id="load", step_key="load#1")


class Silent(Exception):
    """An error that can't be told."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def raised(error: BaseException) -> BaseException:
    """The error, as one that was raised has it: with a stack."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "directive"),
    [
        (ValueError("x"), ""),
        (NonRetriableError("x"), "never"),
        (TooLargeError("x"), "never"),
        (STEP_ERROR, "never"),
        (RetryAfterError("x", 1500), "after"),
        (ExceptionGroup("x", [ValueError("x"), STEP_ERROR]), "never"),
        (ExceptionGroup("x", [ValueError("x")]), ""),
    ],
)
def test_errors_say_whether_to_try_again(error: BaseException, directive: str) -> None:
    """An ordinary error leaves it to the policy; those of the SDK say what they are named for."""
    found = directive_of(error, now_ns=NOW_NS)
    assert (found.WhichOneof("directive") if found else "") == directive


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (1500, timedelta(seconds=1.5)),
        (timedelta(minutes=2), timedelta(minutes=2)),
        (NOW + timedelta(hours=1), timedelta(hours=1)),
        (NOW - timedelta(hours=1), timedelta()),
        (-5, timedelta()),
    ],
)
def test_retry_after_may_be_a_moment(after: timedelta | int | datetime, expected: timedelta) -> None:
    """A wait or a moment; one that is past means now."""
    found = directive_of(RetryAfterError("x", after), now_ns=NOW_NS)
    assert found is not None
    assert found.after.ToTimedelta() == expected


def test_a_failure_names_error_message_and_stack() -> None:
    """What a person needs is there: the class, the text, where it was, and which step."""
    failure = failure_of(raised(ValueError("boom")), step_key="load#0")
    assert (failure.name, failure.message, failure.step_key) == ("ValueError", "boom", "load#0")
    assert "raise error" in failure.stack
    assert failure.stack.endswith("ValueError: boom\n")


def test_a_failed_step_fails_its_run_with_its_own_words() -> None:
    """A StepError that nobody caught shows what the step raised, and which step it was."""
    failure = failure_of(raised(STEP_ERROR))
    assert (failure.name, failure.message, failure.stack, failure.step_key) == (
        "ValueError",
        "boom",
        "a stack",
        "load#1",
    )


def test_the_cause_is_told() -> None:
    """The stack shows what an error was raised from."""
    error = ValueError("outer")
    error.__cause__ = raised(KeyError("inner"))
    assert "KeyError: 'inner'" in failure_of(raised(error)).stack


@pytest.mark.parametrize("error", [Silent(), ValueError("\ud800 \x00"), ValueError("ä" * 100_000)])
def test_no_error_is_too_odd_to_be_told(error: BaseException) -> None:
    """An error without a text, with half a character or of a novel's length still makes a failure that can be sent."""
    failure = failure_of(raised(error))
    assert failure.name == type(error).__name__
    assert 0 < len(failure.SerializeToString()) < 40_000
