"""`typing.override`, which Python has from 3.12 on only."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing_extensions import override as override  # noqa: PLC0414 it is exported
else:
    T = TypeVar("T")

    def override(method: T) -> T:
        """Mark a method that replaces one of its base."""
        return method
