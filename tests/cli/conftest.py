"""Fixtures of the tests of what client commands show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from controlplane.client_commands.show.pen import Pen
from tests.cli.messages import SECOND, START

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def pen() -> Pen:
    """A pen ten minutes after the start, in UTC."""
    return Pen(START + 600 * SECOND, UTC)


@pytest.fixture
def drawn() -> Callable[..., str]:
    """What a renderable looks like as plain text, without spaces at line ends."""

    def draw(what: RenderableType, *, width: int = 120) -> str:
        console = Console(file=StringIO(), width=width, color_system=None, highlight=False)
        with console.capture() as captured:
            console.print(what)
        return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())

    return draw


@pytest.fixture
def is_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a file of golden/; `--rewrite` writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--rewrite", default=False):
            path.write_text(text)
        assert path.read_text() == text

    return compare
