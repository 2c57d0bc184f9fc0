"""The workers of the other SDKs, which are measured beside the Python one: how each is made and started."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stage import HERE, say

ROOT = HERE.parent


@contextmanager
def built() -> Iterator[dict[str, list[str]]]:
    """The command of each that can be made on this machine, by its language."""
    commands = {}
    with tempfile.TemporaryDirectory(prefix="steplane-bench-workers-") as name:
        if is_there("node"):
            make(["make", "--no-print-directory", "sdk_ts/dist/src/index.js"], ROOT)
            commands["typescript"] = ["node", str(HERE / "worker.mjs")]
        if is_there("go"):
            path = Path(name) / "worker"
            make(["go", "build", "-o", str(path), "."], HERE / "go_worker")
            commands["go"] = [str(path)]
        yield commands


def is_there(program: str) -> bool:
    """Whether this machine has it."""
    if shutil.which(program):
        return True
    say(f"LEFT OUT: the worker that needs {program}, which is not installed")
    return False


def make(command: list[str], folder: Path) -> None:
    """Run a command of a build, whose output is of interest only if it fails."""
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
