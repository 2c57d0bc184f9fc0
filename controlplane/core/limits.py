"""Every limit of the server, and how they hang together. Nothing else names such a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

#: One microsecond is the unit of all moments (since 1970, UTC) and durations of the engine.
MILLISECOND: Final = 1_000
SECOND: Final = 1_000 * MILLISECOND
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

RETRY_AFTER_MIN: Final = 1 * SECOND
RETRY_AFTER_MAX: Final = 24 * HOUR
SLEEP_MAX: Final = 366 * DAY
#: An event may be dated so far ahead; one dated further back than now just counts as old.
EVENT_DELAY_MAX: Final = 366 * DAY

ID_BYTES_MAX: Final = 256
NAME_BYTES_MAX: Final = 256
SLUG_BYTES_MAX: Final = 128
EXPRESSION_BYTES_MAX: Final = 4 * KIB
TRACESTATE_BYTES_MAX: Final = 512
FAILURE_TEXT_BYTES_MAX: Final = 32 * KIB
REASON_BYTES_MAX: Final = 1_024
TRIGGERS_MAX: Final = 10
RETRIES_MAX: Final = 20
DELAYS_MAX: Final = RETRIES_MAX
WAIT_MAX: Final = 366 * DAY
WAITED_EVENTS_MAX: Final = 10
PATH_BYTES_MAX: Final = 256
CANCELS_MAX: Final = 5
CONCURRENCY_LIMITS_MAX: Final = 2
CONCURRENCY_MAX: Final = 100_000
BATCH_SIZE_MIN: Final = 2
BATCH_SIZE_MAX: Final = 100
#: The data of a batch's events, which travel in one frame.
BATCH_DATA_BYTES_MAX: Final = 4 * MIB
RATE_MAX: Final = 1_000
THROTTLE_MAX: Final = 100_000
PERIOD_MIN: Final = 1 * SECOND
RATE_PERIOD_MAX: Final = 1 * DAY
PERIOD_MAX: Final = 7 * DAY
PRIORITY_MAX: Final = 600 * SECOND
IDEMPOTENCY_PERIOD: Final = 24 * HOUR
FUNCTIONS_PER_SESSION_MAX: Final = 1_000
RUN_STEPS_CEILING: Final = 10_000
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000
LINEAGE_DEFAULT: Final = 1_000
LINEAGE_MAX: Final = 10_000

#: What a journal entry may have beside its output, and a frame beside its entry.
_FRAME_SLACK: Final = 128 * KIB

#: What a request is told of at the most; a client that sends 5,000 bad events needs no 5,000 lines.
VIOLATIONS_MAX: Final = 20
#: A worker's stream has to begin with its hello within so long.
HELLO_TIMEOUT: Final = 10 * SECOND
#: A poll may ask the server to wait so long: what lies between them cuts idle calls off after about a minute.
POLL_WAIT_MAX: Final = 60 * SECOND
#: Invocations of one poll, and reports and leases of one call.
CALL_ITEMS_MAX: Final = 1_000
#: A worker has to take a frame within so long.
FRAME_TAKEN_TIMEOUT: Final = 20 * SECOND
#: What may wait to be sent to one worker. A turn hands out journals of 64 MiB at the most.
OUTBOX_BYTES_MAX: Final = 160 * MIB


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits that an operator may change; a worker is told them in its welcome."""

    event_bytes_max: int = 512 * KIB
    """The data of one event."""
    batch_events_max: int = 5_000
    """Events in one call or step."""
    batch_bytes_max: int = 4 * MIB
    """All events of one call or step."""
    step_output_bytes_max: int = 4 * MIB
    """The output of one step, or of a run."""
    journal_bytes_max: int = 32 * MIB
    """All recorded steps of one run."""
    run_steps_max: int = 1_000
    """Steps of one run."""
    lineage_depth_max: int = 100
    """Events one after the other in a lineage: what a function that triggers itself comes to."""
    deliveries_max: int = 5
    """Leases of a run without a report, after which it is set aside: it kills its workers."""
    frame_bytes_max: int = 8 * MIB
    """One gRPC message."""
    mailbox_commands_max: int = 20_000
    """Commands that wait for the committer."""
    mailbox_bytes_max: int = 64 * MIB
    """Bytes of the commands that wait for the committer."""

    def problems(self) -> list[str]:
        """All limits that are out of range or contradict each other; empty if none."""
        found = [f"{name} must be 1 or more" for name, value in vars(self).items() if value < 1]
        for small, large in (
            ("event_bytes_max", "batch_bytes_max"),
            ("batch_bytes_max", "frame_bytes_max"),
            ("step_output_bytes_max", "journal_bytes_max"),
            ("frame_bytes_max", "mailbox_bytes_max"),
        ):
            if getattr(self, small) > getattr(self, large):
                found.append(f"{small} must not be above {large}")
        if self.step_output_bytes_max + _FRAME_SLACK > self.frame_bytes_max:
            found.append(f"step_output_bytes_max must be at least {_FRAME_SLACK} below frame_bytes_max")
        if self.run_steps_max > RUN_STEPS_CEILING:
            found.append(f"run_steps_max must not be above {RUN_STEPS_CEILING}")
        return found
