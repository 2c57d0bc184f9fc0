"""What `make check` checks holds in `make test` too: layers, the contract, generated code and pages, types of examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        pytest.param(".", ["lint-imports", "--no-cache"], id="imports go one way"),
        pytest.param("proto", ["buf", "lint"], id="every element of the contract is commented"),
        pytest.param("proto", ["buf", "format", "--diff", "--exit-code"], id="the contract is formatted"),
        pytest.param(".", ["python", "proto/breaking.py"], id="the contract breaks no released worker"),
        pytest.param(".", ["python", "proto/generate.py", "--check"], id="generated code is fresh"),
        pytest.param(".", ["python", "docs/generate.py", "--check"], id="generated pages are fresh"),
    ],
)
def test_the_tree_passes_its_checks(folder: str, command: list[str]) -> None:
    """Each check of the tree passes."""
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=ROOT / folder, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
