"""Short names for ids, in the order in which they appear, and moments as seen from the story's start."""

from __future__ import annotations

from controlplane.core.limits import DAY, HOUR, MINUTE, SECOND
from tests.transcripts.driver import START

_UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "us": 1}


class Names:
    """`e1` for the first event that is told of, `r2` for the second run, `s1` for the first session."""

    def __init__(self) -> None:
        self._short: dict[str, str] = {}
        self._long: dict[str, str] = {}
        self._count: dict[str, int] = {}

    def short(self, kind: str, long: str) -> str:
        """The short name of an id; what is not made by the server keeps its own."""
        if len(long) != 26:
            return long
        found = self._short.get(long)
        if found is None:
            self._count[kind] = self._count.get(kind, 0) + 1
            found = self._short[long] = f"{kind}{self._count[kind]}"
            self._long[found] = long
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """All ids with their short names."""
        return list(self._short.items())

    def long(self, short: str) -> str:
        """The id of a short name; anything else stands for itself."""
        return self._long.get(short, short)


def duration(text: str) -> int:
    """`1h30m` in microseconds."""
    total, digits, rest = 0, "", text
    while rest:
        if rest[0].isdigit():
            digits, rest = digits + rest[0], rest[1:]
            continue
        unit = next(unit for unit in ("us", "d", "h", "m", "s") if rest.startswith(unit))
        total += int(digits) * _UNITS[unit]
        digits, rest = "", rest[len(unit) :]
    assert not digits, f"{text!r} lacks its unit"
    return total


def moment(text: str) -> int:
    """`+10s` or `-1h`, from the story's start."""
    return START + (duration(text[1:]) if text[0] == "+" else -duration(text[1:]))


def told_duration(value: int) -> str:
    """Microseconds as `1h30m`."""
    parts = []
    for unit, size in _UNITS.items():
        if value >= size:
            parts.append(f"{value // size}{unit}")
            value %= size
    return "".join(parts) or "0s"


def told_moment(value: int) -> str:
    """A moment as `+10s`."""
    return f"+{told_duration(value - START)}" if value >= START else f"-{told_duration(START - value)}"
