"""Every error of the SDK: those that a function raises to say something, and those that tell it something.

What an error says about trying again is decided in `failures.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple


class SteplaneError(Exception):
    """The base of all errors of the SDK."""


class NonRetriableError(SteplaneError):
    """Raise it to fail a step, or the function, at once: it is not tried again."""


class RetryAfterError(SteplaneError):
    """Raise it to have a step, or the function, tried again after a time of your choice.

    `after` is a `timedelta`, a number of milliseconds, or a moment. The server keeps it between 1 second and 24 hours.
    """

    def __init__(self, message: str, after: timedelta | int | datetime) -> None:
        super().__init__(message)
        self.after = after


class StepError(SteplaneError):
    """A step failed for good. Raised where the step was called; uncaught, it fails the run at once."""

    def __init__(
        self, *, name: str, message: str, stack: str, step_id: str, step_key: str = "", reason: str = ""
    ) -> None:
        super().__init__(
            f"step {step_id!r} failed: {name}: {message}" if name else f"step {step_id!r} failed: {message}"
        )
        self.name = name
        """The class of the error that the step failed with last; of an invoked function, that its run failed with."""
        self.message = message
        """What that error said."""
        self.stack = stack
        """Its stack, for people."""
        self.step_id = step_id
        """The id of the step."""
        self.step_key = step_key or f"{step_id}#0"
        """Which use of that id it was."""
        self.reason = reason
        """Empty if code of yours failed: the step's own, or that of the function that it invoked. Else why the server let
        it fail: CANCELLED, TIMED_OUT, FUNCTION_NOT_FOUND, SKIPPED, SET_ASIDE, SIGNAL_NOT_FOUND, SIGNAL_IN_USE,
        SIGNAL_REPLACED, LINEAGE_TOO_DEEP."""


class ArgumentError(NonRetriableError, ValueError):
    """A step, or a `Retry`, is given what it can't have. It says what would do."""


class StepIdError(NonRetriableError):
    """A step's id can't be one."""


class NonDeterminismError(NonRetriableError):
    """The code no longer matches what is recorded of the run: the same step is called as another kind."""


class NestedStepError(NonRetriableError):
    """A step was called inside the body of another."""


class NotSerializableError(NonRetriableError):
    """A value is not what JSON can carry."""


class TooLargeError(NonRetriableError):
    """A value is larger than the server takes."""


class RejectedError(NonRetriableError):
    """The server refused a step for good, and says why."""


class FieldViolation(NamedTuple):
    """One field of a request that is wrong, by its path, for example `events[3].name`."""

    field: str
    description: str


class RequestError(SteplaneError):
    """The server refused a request, or could not be asked."""

    def __init__(self, message: str, *, code: str, violations: Sequence[FieldViolation] = ()) -> None:
        lines = [message, *(f"  {field}: {description}" for field, description in violations)]
        super().__init__("\n".join(lines))
        self.code = code
        """The name of gRPC's status code, for example `INVALID_ARGUMENT`."""
        self.violations = tuple(violations)
        """What is wrong, field by field, if the request was."""


class SendError(RequestError):
    """Events, or a signal, could not be sent. None of the batch was stored, unless the code is `DEADLINE_EXCEEDED`.

    After that one nobody knows; to send the same `Event` objects again is safe if they have ids. Of a signal nobody knows
    after `UNAVAILABLE` as well, since it is not sent again by itself; `NOT_FOUND` says that no run waits for it.
    """


class RegistrationError(RequestError):
    """The server refused the definition of a function."""
