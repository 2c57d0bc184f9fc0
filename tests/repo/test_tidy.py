"""What the linter can't see: long files, drawers, and words that the glossary has another one for."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("controlplane", "sdk_py", "examples", "benchmarks", "proto")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "gen" not in path.relative_to(ROOT).parts
]
LINES_MAX = 400
FUNCTION_LINES_MAX = 60
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base"}
#: Another word, and the one that this project has for the same thing.
BANNED = {
    r"\bfencing_token\b": "epoch",
    r"\bworkflow_run\b": "run",
    r"\bcheckpoint_step\b": "journal",
    r"\bidempotency_id\b": "event id",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_one_subject(path: Path) -> None:
    """A file opens with what it is for, stays short, has functions that fit a screen, and is no drawer."""
    text = path.read_text()
    tree = ast.parse(text)

    assert path.stem not in DRAWERS
    assert text.count("\n") <= LINES_MAX
    assert not text.strip() or ast.get_docstring(tree)
    long = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_word_for_one_thing(path: Path) -> None:
    """Names come from the glossary."""
    text = path.read_text()

    assert [f"{word}: say {better}" for word, better in BANNED.items() if re.search(word, text)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_exceptions_to_the_rules_carry_their_reason(path: Path) -> None:
    """A `noqa` names its rule, and both it and a `type: ignore` say why."""
    bare = [
        line.strip()
        for line in path.read_text().splitlines()
        if re.search(r"# noqa(?!: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)* \S)", line)
        or re.search(r"# type: ignore(?!\[[a-z-]+(, ?[a-z-]+)*\]  ?# ?\S)", line)
    ]

    assert bare == []


def test_every_dependency_is_explained() -> None:
    """The page on dependencies names each package that the project asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(p for extra in project["optional-dependencies"].values() for p in extra)]
    names = {re.split(r"[<>=\[ ]", line)[0] for line in wanted}
    page = (ROOT / "docs" / "reference" / "dependencies.md").read_text()

    assert sorted(name for name in names if f"`{name}`" not in page) == []


def test_constraints_name_versions_and_no_place() -> None:
    """The constraints pin exact versions, and say nothing of where packages come from."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []
