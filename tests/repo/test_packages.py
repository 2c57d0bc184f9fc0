"""What is installed without the server's packages is told apart from what is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("missing", ["click", "rich", "structlog"])
def test_the_command_without_the_server_says_how_to_get_it(missing: str) -> None:
    """`pip install steplane` has the command too; it names the extra, and shows no stack."""
    done = _run(
        f"import sys; sys.modules[{missing!r}] = None; from controlplane.__main__ import main; main()",
        "functions" if missing == "rich" else "serve",
    )

    assert done.returncode == 1
    assert "pip install 'steplane[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_of_ours_that_is_missing_is_a_bug() -> None:
    """It is not taken for the missing extra."""
    done = _run("import sys; sys.modules['controlplane.cli'] = None; from controlplane.__main__ import main; main()")

    assert done.returncode == 1
    assert "Traceback" in done.stderr
