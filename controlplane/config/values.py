"""How values are written in flags, in the environment and in the file, and how they are shown again.

Whatever `show` gives, `parse` reads as the same value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from typing_extensions import override

from controlplane.core.limits import DAY, HOUR, KIB, MIB, MILLISECOND, MINUTE, SECOND

T = TypeVar("T")

_PORT_MAX: Final = 65_535
#: Where the committer passes in each turn.
_FAILPOINTS: Final = ("before_commit", "after_commit", "after_release")
_DURATION_UNITS: Final = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MILLISECOND, "us": 1}
_SIZE_UNITS: Final = {"GiB": KIB * MIB, "MiB": MIB, "KiB": KIB, "B": 1}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|[smhd])")
_SIZE: Final = re.compile(r"(\d+)\s*(b|kib|mib|gib)?", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([^\s:/\[\]]+)):(\d{1,5})")
_SWITCH: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One way of writing values."""

    name: str
    """As help shows it."""
    remedy: str
    """How to write one."""
    parse: Callable[[object], T]
    """Text, or a value of TOML. Raises `ValueError` for anything else."""
    show: Callable[[T], str]
    is_bare: bool = False
    """Whether TOML takes what `show` gives without quotes."""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class Failpoint(NamedTuple):
    """Where the server is to kill itself, for crash tests."""

    name: str
    passes: int
    """At which pass of the point."""

    @override
    def __str__(self) -> str:
        return f"{self.name}:{self.passes}"


def choice(*words: str) -> Kind[str]:
    """One of these words."""
    return Kind("|".join(words), f"Write one of {', '.join(words)}.", lambda raw: _parse_word(raw, words), str)


def _parse_word(raw: object, words: tuple[str, ...]) -> str:
    word = _text(raw).lower()
    if word not in words:
        raise ValueError
    return word


def _parse_path(raw: object) -> Path:
    return Path(_text(raw)).expanduser()


def _parse_address(raw: object) -> Address:
    match = _ADDRESS.fullmatch(_text(raw))
    if match is None or int(match[3]) > _PORT_MAX:
        raise ValueError
    return Address(match[1] or match[2], int(match[3]))


def _parse_failpoint(raw: object) -> Failpoint:
    name, _, passes = _text(raw).partition(":")
    if name not in _FAILPOINTS or not passes.isdecimal() or int(passes) < 1:
        raise ValueError
    return Failpoint(name, int(passes))


def _parse_switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    found = _SWITCH.get(_text(raw).lower())
    if found is None:
        raise ValueError
    return found


def _parse_count(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    text = _text(raw).replace("_", "")
    if not text.isdecimal():
        raise ValueError
    return int(text)


def _parse_size(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    match = _SIZE.fullmatch(_text(raw))
    if match is None:
        raise ValueError
    units = {name.lower(): size for name, size in _SIZE_UNITS.items()}
    return int(match[1]) * units[(match[2] or "b").lower()]


def _parse_duration(raw: object) -> int:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        seconds: float = raw
    else:
        text = _text(raw)
        parts = _DURATION_PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text.replace(" ", ""):
            return sum(round(float(number) * _DURATION_UNITS[unit]) for number, unit in parts)
        seconds = float(text)
    if not isfinite(seconds) or seconds < 0:
        raise ValueError
    return round(seconds * SECOND)


def _parse_duration_or_off(raw: object) -> int:
    return 0 if raw is False or (isinstance(raw, str) and raw.strip().lower() == "off") else _parse_duration(raw)


def _text(raw: object) -> str:
    """Any text but the empty one."""
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError
    return raw.strip()


def _show_switch(value: bool) -> str:
    return "true" if value else "false"


def _show_in(units: dict[str, int]) -> Callable[[int], str]:
    def show(value: int) -> str:
        name, size = next((unit for unit in units.items() if value and value % unit[1] == 0), list(units.items())[-1])
        return f"{value // size}{name}"

    return show


_show_duration: Final = _show_in(_DURATION_UNITS)

PATH: Final = Kind("PATH", "Write the path of a file.", _parse_path, str)
ADDRESS: Final = Kind("HOST:PORT", "Write HOST:PORT, for example 127.0.0.1:7100 or [::1]:7100.", _parse_address, str)
SWITCH: Final = Kind("true|false", "Write true or false.", _parse_switch, _show_switch, is_bare=True)
FAILPOINT: Final = Kind(
    "NAME:N", f"Write before_commit:1, for example; the names are {', '.join(_FAILPOINTS)}.", _parse_failpoint, str
)
COUNT: Final = Kind("COUNT", "Write a whole number.", _parse_count, str, is_bare=True)
SIZE: Final = Kind("SIZE", "Write for example 512KiB, 4MiB, or a number of bytes.", _parse_size, _show_in(_SIZE_UNITS))
DURATION: Final = Kind(
    "DURATION", "Write for example 24h, 1h30m, 500ms, or a number of seconds.", _parse_duration, _show_duration
)
DURATION_OR_OFF: Final = Kind(
    "DURATION|off",
    "Write for example 7d, 36h, a number of seconds, or off.",
    _parse_duration_or_off,
    lambda value: _show_duration(value) if value else "off",
)
