"""The demo is the first thing that a newcomer runs: it has to work, and to be quick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "examples" / "weekly_email" / "demo.py"


def test_the_demo_keeps_its_promises() -> None:
    """It kills a worker half-way; all runs end, in one trace, and no recorded step ran again."""
    done = subprocess.run([sys.executable, str(DEMO)], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "26 steps are recorded, in 13 runs, under 1 trace id." in done.stdout
    assert "0 of them ran again after they were recorded." in done.stdout
    assert "Every promise was kept." in done.stdout
