"""What a step asks for that waits for others, or sends a signal: the parts of a report that are its own. All checked in form."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class WaitedEvent(NamedTuple):
    """An event that is waited for: see `WaitRow`."""

    event: str
    path: str = ""
    expression: str = ""


class WaitRequest(NamedTuple):
    """A wait for events begins."""

    events: tuple[WaitedEvent, ...]
    all_of: bool
    timeout: int
    since: int | None = None
    """Events count as well that were received at this moment or later."""
    since_run: bool = False
    """The same, from the moment on at which the run was made."""


class InvokeRequest(NamedTuple):
    """Another function is to be invoked."""

    app_id: str
    """The invoking function's if empty."""
    function_id: str
    data: bytes
    encoding: str
    timeout: int


class SignalWaitRequest(NamedTuple):
    """A wait for a signal begins."""

    signal: str
    timeout: int
    replaces: bool
    """Whether it takes the place of another wait, and does not fail."""


class SignalRequest(NamedTuple):
    """A signal is to be sent."""

    signal: str
    data: bytes
    encoding: str


Request: TypeAlias = WaitRequest | InvokeRequest | SignalWaitRequest | SignalRequest
