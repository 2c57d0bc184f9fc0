"""Why the server failed something, in the words of the contract."""

from __future__ import annotations

from typing import Final


class Reason:
    """The values of `Failure.reason`, beside the empty one of what a user's code raised."""

    CANCELLED: Final = "CANCELLED"
    TIMED_OUT: Final = "TIMED_OUT"
    FUNCTION_NOT_FOUND: Final = "FUNCTION_NOT_FOUND"
    SKIPPED: Final = "SKIPPED"
    SIGNAL_NOT_FOUND: Final = "SIGNAL_NOT_FOUND"
    SIGNAL_IN_USE: Final = "SIGNAL_IN_USE"
    SIGNAL_REPLACED: Final = "SIGNAL_REPLACED"
    LINEAGE_TOO_DEEP: Final = "LINEAGE_TOO_DEEP"
    SET_ASIDE: Final = "SET_ASIDE"
