"""The command: what it says of what it is given, and what it leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKER = f"{sys.executable} sdk_py/conformance/worker.py"


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "controlplane", "conformance", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no worker to try"),
        (("--worker", "no-such-program"), "there is no program 'no-such-program'"),
        (("--worker", ""), "there is no program ''"),
        (("--worker", "python 'x"), "can't be read"),
        (("--worker", "python", "--case", "no-such-case"), "no case is called no-such-case"),
        (("--worker", "python", "--keep", "tests"), "tests is not empty"),
    ],
)
def test_what_can_t_be_is_told(arguments: tuple[str, ...], told: str) -> None:
    """As a wrong use of the command, before anything is started."""
    done = conformance(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_failed_case_tells_how_to_see_more(tmp_path: Path) -> None:
    """A worker that ends at once: which case failed, why, and what to type."""
    done = conformance("--no-json", "--worker", "false", "--case", "one-step", "--keep", str(tmp_path / "kept"))

    assert done.returncode == 1
    assert "✘ failed   one-step" in done.stdout
    assert "the worker ended before it had a stream" in done.stdout
    assert "steplane conformance --worker false --case one-step --keep DIR" in done.stdout
    assert "0 of 1 cases passed" in done.stdout


def test_what_happened_can_be_kept(tmp_path: Path) -> None:
    """Frames, faults and logs of a case, with each worker and each server."""
    done = conformance("--worker", WORKER, "--case", "cut-before-an-ack", "--keep", str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    frames = (tmp_path / "cut-before-an-ack" / "frames.txt").read_text()
    assert "1.1 ──▶ hello" in frames
    assert "✗ at ack a#0: cut" in frames
    assert "1.2 ◀── welcome" in frames
    assert "connected to Steplane" in (tmp_path / "cut-before-an-ack" / "worker-1.log").read_text()
    assert "worker_connected" in (tmp_path / "server-long" / "server.log").read_text()
