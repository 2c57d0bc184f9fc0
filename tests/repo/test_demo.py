"""The demo is the first thing that a newcomer runs: it has to work in every language, and to be quick."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {"": [], "LANG=ts": ["node"], "LANG=go": ["go"], "LANG=all": ["node", "go"]}
STEPS = {
    "": "Python 26",
    "LANG=ts": "TypeScript 26",
    "LANG=go": "Go 26",
    # The schedule is Python's; the twelve users are everybody's, with two steps each.
    "LANG=all": "Python 10, TypeScript 8, Go 8",
}


@pytest.mark.timeout(600)  # the first time it builds the SDKs
@pytest.mark.parametrize("language", TOOLS, ids=lambda language: language or "without LANG")
def test_the_demo_keeps_its_promises(language: str) -> None:
    """It kills each worker half-way; all runs end, in one trace, and no recorded step ran again."""
    if any(shutil.which(tool) is None for tool in TOOLS[language]):
        pytest.skip(f"not installed: one of {TOOLS[language]}")

    done = _make("demo", language)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "26 steps are recorded, in 13 runs, under 1 trace id." in done.stdout
    assert f"Each was recorded once, by the worker that executed it: {STEPS[language]}." in done.stdout
    assert "0 of them ran again after they were recorded." in done.stdout
    assert "Every promise was kept." in done.stdout
    assert done.stdout.count("with SIGKILL") == STEPS[language].count(",") + 1


@pytest.mark.parametrize(
    ("arguments", "asked"), [([], ""), (["LANG="], ""), (["LANG=ts"], "ts"), (["LANG=all"], "all")], ids=str
)
def test_the_locale_is_not_the_language(arguments: list[str], asked: str) -> None:
    """LANG is the locale's variable too: only one on make's command line asks for a language, and no command gets that one."""
    shown = _make("--dry-run", "demo", *arguments, LANG="en_US.UTF-8")
    environment = _make("--eval=show: ; @env", "show", *arguments, LANG="en_US.UTF-8")

    assert re.findall(r"-m examples\.weekly_email\.demo *(.*)$", shown.stdout, re.MULTILINE) == [asked]
    locale = [line for line in environment.stdout.splitlines() if line.startswith("LANG=")]
    assert locale == ([] if arguments else ["LANG=en_US.UTF-8"])


def test_an_unknown_language_is_refused_with_the_choices() -> None:
    """Nothing is started; the message says which languages there are."""
    done = _make("demo", "LANG=klingon")

    assert done.returncode != 0
    assert done.stdout == ""
    assert "usage: make demo [LANG=python|py|typescript|ts|go|all]" in done.stderr
    assert "invalid choice: 'klingon'" in done.stderr


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Without Node and Go it says what to install, for each language that was asked for, and starts nothing."""
    for tool in ("make", "sh", "find", "test"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))

    done = _make("demo", "LANG=all", PATH=str(tmp_path))

    assert done.returncode != 0
    assert "The program in TypeScript needs node and npm. Install Node.js 20.11 or newer" in done.stderr
    assert "The program in Go needs go. Install Go 1.24 or newer" in done.stderr
    assert done.stdout == ""


def _make(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Call make as from a shell: as if no other make had called these tests."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    return subprocess.run(
        ["make", "--no-print-directory", *filter(None, arguments)],
        cwd=ROOT,
        env=environment | changes,
        capture_output=True,
        text=True,
        check=False,
    )
