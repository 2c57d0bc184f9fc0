"""Programs in TypeScript and Go, built against the SDKs of this checkout. Each function gives the command that starts one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "sdk_ts"
STRICT = ["--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--target", "es2022", "--module", "nodenext"]


def build_typescript(program: Path, folder: Path) -> list[object]:
    """Check the types of a program in one file (.mts), and compile it into the folder."""
    _run(["make", "--silent", "sdk_ts/dist/src/index.js"], ROOT)
    modules = folder / "node_modules"
    (modules / "@types").mkdir(parents=True, exist_ok=True)
    (modules / "steplane").symlink_to(SDK)
    (modules / "@types" / "node").symlink_to(SDK / "node_modules" / "@types" / "node")
    shutil.copy(program, folder)
    _run([str(SDK / "node_modules" / ".bin" / "tsc"), *STRICT, program.name], folder)
    return ["node", folder / f"{program.stem}.mjs"]


def build_go(package: Path, folder: Path) -> list[object]:
    """Compile a package into the folder."""
    _run(["go", "build", "-o", str(folder / package.name), "."], package)
    return [folder / package.name]


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
