"""The benchmark can be run: a small one, whose figures mean nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(400)
def test_the_benchmark_runs() -> None:
    """It starts its processes, measures each language that is there, and writes nothing when it is only tried."""
    results = ROOT / "benchmarks" / "RESULTS.md"
    before = results.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", "--short", "--scale", "0.01", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for figure in ("events per second", "runs per second", "latency ms p50", "server cpu us per run"):
        assert figure in done.stdout
    for language, program in (("typescript", "node"), ("go", "go")):
        assert (f"{language} worker: ratio to python" in done.stdout) == (shutil.which(program) is not None)
    assert results.read_text() == before
