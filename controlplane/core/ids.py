"""Names of things: time-ordered ids, derived ids, step keys, and span ids of the trace context."""

from __future__ import annotations

import re
from hashlib import blake2b, sha256
from typing import Final, Protocol

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_BITS: Final = 80
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_STEP_KEY: Final = re.compile(r".+#(0|[1-9][0-9]{0,8})", re.DOTALL)


class Rng(Protocol):
    """Chance, as the core takes it; `random.Random` is one."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""
        ...

    def random(self) -> float:
        """A float from 0 up to, but without, 1."""
        ...


class Ids:
    """Makes ULIDs (26 characters, 48 bits of milliseconds, 80 of chance) that ascend in the order they are made."""

    def __init__(self, now: int, rng: Rng) -> None:
        """Start at the moment `now`, in microseconds since 1970."""
        # One bit less of chance at the start leaves room for counting up.
        self._next = ((now // 1000) << _RANDOM_BITS) | rng.getrandbits(_RANDOM_BITS - 1)
        self._rng = rng

    def make(self) -> str:
        """The next id."""
        value = self._next
        self._next = value + 1
        return _base32(value)

    def trace_id(self) -> str:
        """A fresh W3C trace id."""
        return f"{self._rng.getrandbits(128) or 1:032x}"

    def span_id(self) -> str:
        """A fresh W3C span id."""
        return f"{self._rng.getrandbits(64) or 1:016x}"


def floor(moment: int) -> str:
    """The smallest id that can be made at `moment` or later; ids compare as text."""
    return _base32(max(moment, 0) // 1000 << _RANDOM_BITS)


def child_event_id(run_id: str, step_key: str, index: int) -> str:
    """The id of an event that a step sends: always the same, so that a repeated report can't make another event.

    It has the time of its run and 80 bits of a hash, and so looks and sorts as other ids do.
    """
    digest = blake2b(f"{run_id}\0{step_key}\0{index}".encode(), digest_size=_RANDOM_BITS // 8).digest()
    return run_id[:10] + _base32(int.from_bytes(digest, "big"))[10:]


def run_span_id(run_id: str) -> str:
    """The span of a run: the first 8 bytes of SHA-256 over its id. SDKs derive the same."""
    return sha256(run_id.encode()).hexdigest()[:16]


def step_span_id(run_id: str, step_key: str) -> str:
    """The span of a step: the first 8 bytes of SHA-256 over run id, "/" and step key. SDKs derive the same."""
    return sha256(f"{run_id}/{step_key}".encode()).hexdigest()[:16]


def child_traceparent(parent: str, span_id: str) -> str:
    """`parent` with another span: the trace id and the flags stay."""
    return f"00-{parent[3:35]}-{span_id}-{parent[53:55]}"


def is_traceparent(text: str) -> bool:
    """Whether `text` is a W3C traceparent: https://www.w3.org/TR/trace-context/#traceparent-header."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None or (text[:2] == "00" and match[3]):
        return False
    return match[1] != "0" * 32 and match[2] != "0" * 16


def is_step_key(text: str) -> bool:
    """Whether `text` is a step's id, "#" and an occurrence."""
    return _STEP_KEY.fullmatch(text) is not None


def _base32(value: int) -> str:
    pairs = _PAIRS
    return (
        pairs[value >> 120 & 1023]
        + pairs[value >> 110 & 1023]
        + pairs[value >> 100 & 1023]
        + pairs[value >> 90 & 1023]
        + pairs[value >> 80 & 1023]
        + pairs[value >> 70 & 1023]
        + pairs[value >> 60 & 1023]
        + pairs[value >> 50 & 1023]
        + pairs[value >> 40 & 1023]
        + pairs[value >> 30 & 1023]
        + pairs[value >> 20 & 1023]
        + pairs[value >> 10 & 1023]
        + pairs[value & 1023]
    )
