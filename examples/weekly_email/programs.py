"""The programs that the demo shows, one a language: what each needs, how it is built, and how its worker is started."""

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("examples/weekly_email")


@dataclass(frozen=True, kw_only=True)
class Program:
    """The program in one language. Paths are those below the root of the checkout."""

    language: str  # what users have as their `language`; also the folder's name
    title: str
    tools: tuple[str, ...] = ()  # commands that have to be there
    install: str = ""  # where to get them
    built: Path | None = None  # what `make` makes of it
    command: tuple[str | Path, ...]

    @property
    def app_id(self) -> str:
        """The app that its worker serves."""
        return f"weekly-email-{self.language}"

    @property
    def lacks(self) -> list[str]:
        """The tools that are not installed."""
        return [tool for tool in self.tools if shutil.which(tool) is None]

    def build(self) -> None:
        """Bring it up to date. What is made tells so itself: this may take a while."""
        if self.built is None:
            return
        done = subprocess.run(["make", "--silent", self.built], cwd=ROOT, check=False)
        if done.returncode != 0:
            sys.exit(f"the program in {self.title} could not be built: see above")


PYTHON = Program(language="python", title="Python", command=(sys.executable, HERE / "python/app.py"))
TYPESCRIPT = Program(
    language="typescript",
    title="TypeScript",
    tools=("node", "npm"),
    install="Node.js 20.11 or newer, with npm: https://nodejs.org/en/download",
    built=HERE / "typescript/dist/app.js",
    command=("node", HERE / "typescript/dist/app.js"),
)
GO = Program(
    language="go",
    title="Go",
    tools=("go",),
    install="Go 1.24 or newer: https://go.dev/doc/install",
    built=HERE / "go/bin/weekly_email",
    command=(HERE / "go/bin/weekly_email",),
)
CHOICES = {
    "python": [PYTHON],
    "py": [PYTHON],
    "typescript": [TYPESCRIPT],
    "ts": [TYPESCRIPT],
    "go": [GO],
    "all": [PYTHON, TYPESCRIPT, GO],
}


def chosen(arguments: list[str]) -> list[Program]:
    """The programs that were asked for, ready to start; or the end, with what has to be done first."""
    parser = argparse.ArgumentParser(prog="make demo", usage=f"make demo [LANG={'|'.join(CHOICES)}]")
    parser.add_argument("LANG", nargs="?", default="python", choices=CHOICES)
    programs = CHOICES[parser.parse_args(arguments).LANG]
    lacking = [program for program in programs if program.lacks]
    if lacking:
        lines = [f"The program in {it.title} needs {' and '.join(it.lacks)}. Install {it.install}" for it in lacking]
        sys.exit("\n".join([*lines, "`make demo` without LANG shows the same in Python alone."]))
    for program in programs:
        program.build()
    return programs
