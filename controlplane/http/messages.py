"""A request's head and a response, as far as the door looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Head(NamedTuple):
    """What comes before a request's body."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    """With names in lower case."""

    def header(self, name: str) -> str:
        """A header's value; empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")


class Response(NamedTuple):
    """An answer in JSON."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    """Those that not every answer has."""
