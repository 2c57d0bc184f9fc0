"""Write the pages of the documentation that are made from the code: `python docs/generate.py [--check]`.

With `--check` nothing is written: it fails if what is there is not what would be written.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from controlplane.cli import main as command_line
from controlplane.config.reference import reference as settings

REFERENCE = Path(__file__).resolve().parent / "reference"
COLUMNS = 110
HEAD = """\
# Commands

What `steplane --help` and `steplane COMMAND --help` show.
"""


def main() -> None:
    """Write the pages, or tell which are stale."""
    pages = {REFERENCE / "settings.md": settings(), REFERENCE / "commands.md": "".join(commands())}
    if "--check" not in sys.argv:
        for path, text in pages.items():
            path.write_text(text)
        return
    stale = [str(path) for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if stale:
        sys.exit("stale, run `make docs`:\n  " + "\n  ".join(stale))


def commands() -> Iterator[str]:
    """The page of all commands."""
    yield HEAD
    group = click.Context(command_line, info_name="steplane", terminal_width=COLUMNS, max_content_width=COLUMNS)
    yield section("steplane", group)
    for name, command in sorted(command_line.commands.items()):
        yield section(f"steplane {name}", click.Context(command, info_name=name, parent=group))


def section(title: str, context: click.Context) -> str:
    """What one command's help shows."""
    text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"\n## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    main()
