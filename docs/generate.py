"""Write the pages of the documentation that are made from the code: `python docs/generate.py [--check]`.

With `--check` nothing is written: it fails if what is there is not what would be written.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

import steplane
from conformance.case import load
from controlplane.cli import main as command_line
from controlplane.config.reference import reference as settings

DOCS = Path(__file__).resolve().parent
REFERENCE = DOCS / "reference"
WRITE_AN_SDK = DOCS / "write-an-sdk.md"
COLUMNS = 110
HEAD = """\
# Commands

What `steplane --help` and `steplane COMMAND --help` show.
"""
PYTHON_HEAD = """\
# The Python SDK

Every public name, from the code. What belongs together is explained in the guides.
"""
PYTHON = (
    ("The app", ("Steplane", "Tls", "Function", "Worker")),
    ("Triggers, retries and failures", ("TriggerEvent", "TriggerCron", "Retry")),
    (
        "Flow control",
        (
            "Batch",
            "Cancel",
            "Concurrency",
            "Debounce",
            "Priority",
            "RateLimit",
            "Singleton",
            "Throttle",
            "Timeouts",
        ),
    ),
    ("What a function is given", ("Context", "ContextSync", "Group", "GroupSync", "Step", "StepSync", "WaitedEvent")),
    ("Events and traces", ("Event", "current_traceparent")),
)


def main() -> None:
    """Write the pages, or tell which are stale."""
    pages = {
        REFERENCE / "settings.md": settings(),
        REFERENCE / "commands.md": "".join(commands()),
        REFERENCE / "python.md": "".join(python()),
        WRITE_AN_SDK: with_cases(WRITE_AN_SDK.read_text()),
    }
    if "--check" not in sys.argv:
        for path, text in pages.items():
            path.write_text(text)
        return
    stale = [str(path) for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if stale:
        sys.exit("stale, run `make docs`:\n  " + "\n  ".join(stale))


def with_cases(page: str) -> str:
    """The page with what each case of the conformance kit proves, between its marks."""
    head, rest = page.split("<!-- cases -->\n")
    tail = rest.partition("<!-- /cases -->")[2]
    return f"{head}<!-- cases -->\n{''.join(cases())}\n<!-- /cases -->{tail}"


def cases() -> Iterator[str]:
    """A table of cases for each subject."""
    subject = ""
    for case in load():
        if case.subject != subject:
            subject = case.subject
            yield f"\n**{subject.partition('-')[2].capitalize()}**\n\n| case | proves |\n| --- | --- |\n"
        yield f"| `{case.name}` | {case.proves.replace('|', chr(92) + '|')} |\n"


def commands() -> Iterator[str]:
    """The page of all commands."""
    yield HEAD
    group = click.Context(command_line, info_name="steplane", terminal_width=COLUMNS, max_content_width=COLUMNS)
    yield section("steplane", group)
    yield from commands_of(group)


def commands_of(parent: click.Context) -> Iterator[str]:
    """The commands of a group, and those of the groups in it."""
    if isinstance(parent.command, click.Group):
        for name, command in sorted(parent.command.commands.items()):
            context = click.Context(command, info_name=name, parent=parent)
            yield section(context.command_path, context)
            yield from commands_of(context)


def section(title: str, context: click.Context) -> str:
    """What one command's help shows."""
    text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"\n## {title}\n\n```text\n{text}\n```\n"


def python() -> Iterator[str]:
    """The page of the Python SDK: every public name with its docstring, its fields and its methods."""
    yield PYTHON_HEAD
    for title, names in PYTHON:
        yield f"\n## {title}\n"
        for name in names:
            yield from entry(name, getattr(steplane, name))


def entry(name: str, value: Any) -> Iterator[str]:
    """One public name."""
    yield f"\n### {name}\n"
    if not inspect.isclass(value):
        yield f"\n```text\n{name}{inspect.signature(value)}\n```\n\n{doc(value)}\n"
        return
    yield f"\n{doc(value)}\n"
    fields = [
        (field.target.id, ast.unparse(field.annotation), ast.unparse(field.value) if field.value else "", about)
        for field, about in documented(value)
        if isinstance(field.target, ast.Name)
    ]
    if fields:
        yield "\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n"
        for field, kind, default, about in fields:
            shown = f"`{default}`" if default else "required"
            yield f"| `{field}` | `{kind.replace('|', chr(92) + '|')}` | {shown} | {' '.join(about.split())} |\n"
    for method, function in vars(value).items():
        if inspect.isfunction(function) and (not method.startswith("_") or method == "__init__") and function.__doc__:
            shown = name if method == "__init__" else f"{name}.{method}"
            parameters = ", ".join(spelled(function))
            kind = "async " if inspect.iscoroutinefunction(function) else ""
            yield f"\n```text\n{kind}{shown}({parameters})\n```\n\n{doc(function)}\n"


def spelled(function: Any) -> Iterator[str]:
    """A method's parameters, without their types: these are in the code, and make lines long."""
    had_star = False
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        is_rest = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.kind is parameter.KEYWORD_ONLY and not had_star:
            had_star = True
            yield "*"
        star = "*" * ((parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD).index(parameter.kind) + 1) if is_rest else ""
        had_star |= star == "*"
        has_default = parameter.default is not parameter.empty
        yield f"{star}{parameter.name}" + (f"={parameter.default!r}" if has_default else "")


def documented(value: Any) -> Iterator[tuple[ast.AnnAssign, str]]:
    """The fields of a dataclass, each with the text below it."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            yield field, text.value.value


def doc(value: Any) -> str:
    """A docstring, with its examples as blocks."""
    return inspect.getdoc(value) or ""


if __name__ == "__main__":
    main()
