"""Limits that contradict each other are told, all at once."""

from __future__ import annotations

from dataclasses import fields

import pytest

from controlplane.core.limits import KIB, MIB, RUN_STEPS_CEILING, Limits

FRAME_SLACK = 128 * KIB

WRONG: list[tuple[dict[str, int], list[str]]] = [
    ({"event_bytes_max": 4 * MIB + 1}, ["event_bytes_max must not be above batch_bytes_max"]),
    ({"batch_bytes_max": 8 * MIB + 1}, ["batch_bytes_max must not be above frame_bytes_max"]),
    (
        {"journal_bytes_max": 4 * MIB - 1},
        ["step_output_bytes_max must not be above journal_bytes_max"],
    ),
    ({"frame_bytes_max": 64 * MIB + 1}, ["frame_bytes_max must not be above mailbox_bytes_max"]),
    (
        {"step_output_bytes_max": 8 * MIB - FRAME_SLACK + 1},
        [f"step_output_bytes_max must be at least {FRAME_SLACK} below frame_bytes_max"],
    ),
    ({"run_steps_max": RUN_STEPS_CEILING + 1}, [f"run_steps_max must not be above {RUN_STEPS_CEILING}"]),
    (
        {"run_steps_max": 0, "mailbox_commands_max": -1},
        ["run_steps_max must be 1 or more", "mailbox_commands_max must be 1 or more"],
    ),
]
RIGHT: list[dict[str, int]] = [
    {},
    {"event_bytes_max": 4 * MIB},
    {"batch_bytes_max": 8 * MIB},
    {"journal_bytes_max": 4 * MIB},
    {"frame_bytes_max": 64 * MIB},
    {"step_output_bytes_max": 8 * MIB - FRAME_SLACK},
    {"run_steps_max": RUN_STEPS_CEILING},
    {"mailbox_commands_max": 1},
]


@pytest.mark.parametrize(("changes", "problems"), WRONG)
def test_contradictions_are_told(changes: dict[str, int], problems: list[str]) -> None:
    """Each problem names its limits."""

    assert problems == Limits(**changes).problems()


@pytest.mark.parametrize("changes", RIGHT)
def test_limits_may_be_reached(changes: dict[str, int]) -> None:
    """The defaults fit together, and so does each limit at its very edge."""

    assert Limits(**changes).problems() == []


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_nothing_can_be_limited_to_nothing(name: str) -> None:
    """No limit may be zero."""

    assert f"{name} must be 1 or more" in Limits(**{name: 0}).problems()
