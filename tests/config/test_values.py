"""How values are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controlplane.config import values
from controlplane.core.limits import DAY, HOUR, KIB, MIB, MILLISECOND, MINUTE, SECOND

_READ: list[tuple[values.Kind[Any], object, object]] = [
    (values.DURATION, "24h", 24 * HOUR),
    (values.DURATION, "1h30m", 90 * MINUTE),
    (values.DURATION, "1h 30m", 90 * MINUTE),
    (values.DURATION, "500ms", 500 * MILLISECOND),
    (values.DURATION, "0.5s", 500 * MILLISECOND),
    (values.DURATION, "7us", 7),
    (values.DURATION, "90", 90 * SECOND),
    (values.DURATION, 90, 90 * SECOND),
    (values.DURATION, 0.25, 250 * MILLISECOND),
    (values.DURATION_OR_OFF, "off", 0),
    (values.DURATION_OR_OFF, False, 0),
    (values.DURATION_OR_OFF, "2d", 2 * DAY),
    (values.SIZE, "512KiB", 512 * KIB),
    (values.SIZE, "4 mib", 4 * MIB),
    (values.SIZE, "17", 17),
    (values.SIZE, 17, 17),
    (values.COUNT, "5_000", 5_000),
    (values.COUNT, 5_000, 5_000),
    (values.SWITCH, "yes", True),
    (values.SWITCH, "0", False),
    (values.SWITCH, True, True),
    (values.ADDRESS, "localhost:0", ("localhost", 0)),
    (values.ADDRESS, "[::1]:7100", ("::1", 7100)),
    (values.PATH, "some/file", Path("some/file")),
    (values.choice("full", "normal"), "FULL", "full"),
    (values.FAILPOINT, "before_commit:3", ("before_commit", 3)),
]

_REFUSED: list[tuple[values.Kind[Any], object]] = [
    *((values.DURATION, raw) for raw in ("", "soon", "-1", "1h-", "5 bananas", "nan", "inf", "off", "1.5.2s")),
    *((values.DURATION, raw) for raw in (True, None, -3)),
    *((values.SIZE, raw) for raw in ("4MB", "-1", "1.5MiB", True, 1.5)),
    *((values.COUNT, raw) for raw in ("many", "-1", "1.0", True, 2.0)),
    *((values.SWITCH, raw) for raw in ("maybe", 1, "")),
    *((values.ADDRESS, raw) for raw in ("7100", ":7100", "host", "host:port", "host:65536", "::1:7100", "http://a:1")),
    *((values.FAILPOINT, raw) for raw in ("before_commit", "before_commit:0", "before_commit:x", "elsewhere:1", ":1")),
    *((values.PATH, raw) for raw in ("", 3)),
    (values.choice("full", "normal"), "off"),
]


@pytest.mark.parametrize(("kind", "raw", "expected"), _READ)
def test_a_value_is_read(kind: values.Kind[Any], raw: object, expected: object) -> None:
    """Text and TOML values are read, and what is shown of the result is read as the same."""
    value = kind.parse(raw)

    assert value == expected
    assert kind.parse(kind.show(value)) == expected


@pytest.mark.parametrize(("kind", "raw"), _REFUSED)
def test_anything_else_is_refused(kind: values.Kind[Any], raw: object) -> None:
    """A value that is no such thing is refused rather than guessed."""
    with pytest.raises(ValueError):  # noqa: PT011 a parser says nothing more; the setting tells how to write one
        kind.parse(raw)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback_is_known(host: str) -> None:
    """Only this machine can reach these."""
    assert values.Address(host, 1).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com", "localhost.example.com"])
def test_what_is_no_loopback_is_known_too(host: str) -> None:
    """Other machines may reach these."""
    assert not values.Address(host, 1).is_loopback
