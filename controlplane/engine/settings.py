"""What the engine is configured with: one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field

from controlplane.core.limits import HOUR, SECOND, Limits
from controlplane.core.records import SessionRow


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All durations in microseconds."""

    limits: Limits = field(default_factory=Limits)
    dedupe_window: int = 24 * HOUR
    """For how long an event id makes no second event."""
    heartbeat_interval: int = 5 * SECOND
    """How often a worker is told to send a heartbeat."""
    session_timeout: int = 30 * SECOND
    """After so long without a heartbeat a session's runs are given to others."""
    session_grace: int = 5 * SECOND
    """After so long without its stream, a session's runs are given to others."""
    turn_commands_max: int = 2_000
    """Commands decided in one transaction."""

    def patience(self, session: SessionRow) -> int:
        """For how long the leases of a session stand that has neither a stream nor a poll now."""
        return self.session_timeout if session.is_poller else self.session_grace
