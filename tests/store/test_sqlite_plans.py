"""Each statement uses the index that its comment names, and none walks through a table that grows."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from controlplane.store import sqlite
from controlplane.store.sqlite.open import SqliteStore
from controlplane.store.sqlite.statement import Many

#: What may be walked through: lists that stand in the statement, parts of it, and tables that stay small.
_MAY_SCAN = re.compile(
    r"SCAN (\d+ CONSTANT ROWS?|wanted|page|ready|wanted VIRTUAL .*|\(subquery-\d+\)|json_each .*|functions|sessions)"
)
#: Statements that jump through an index, each time from the first entry that is beyond the last one.
_JUMPS = re.compile(r"SCAN (runs USING (COVERING )?INDEX runs_queued)")
#: What the start of the server reads as a whole.
_AT_START = {"RUNS_IN_FLOW", "WAITS_SHAPES"}
_INDEX = re.compile(r"\b(?:runs|events|journal|timers|functions|waits|signals|flow|run_events)_[a-z_]+")


def statements() -> Iterator[tuple[str, str]]:
    """Every named statement, and its text for two rows."""
    for module_info in pkgutil.iter_modules(sqlite.__path__):
        module = importlib.import_module(f"{sqlite.__name__}.{module_info.name}")
        for name, value in vars(module).items():
            if isinstance(value, Many):
                yield name, value._sized[-2][1]
            elif isinstance(value, str) and value.startswith("--"):
                yield name, value


_STATEMENTS = dict(statements())


def plan(sql: str) -> str:
    """How SQLite would run a statement."""
    sql = sql.replace("{conditions}", "namespace = :namespace AND id < :before_id AND created_at < :created_max")
    names = re.findall(r":([a-z_]+)", sql)
    parameters = dict.fromkeys(names, 1) if names else [1] * sql.count("?")
    with closing(SqliteStore.open(":memory:")) as store:
        rows = store._writer.connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return "\n".join(detail for *_, detail in rows)


def test_all_statements_were_found() -> None:
    """The search for statements does not miss the room where they are."""
    assert len(_STATEMENTS) > 40
    assert {"RUNS_CLAIM_READY", "EVENTS_INSERT", "SWEEP_EVENTS_LOOK"} <= _STATEMENTS.keys()


@pytest.mark.parametrize("name", _STATEMENTS)
def test_a_statement_begins_with_its_reason(name: str) -> None:
    """A comment says how the rows are found."""
    assert re.match(r"-- [A-Z].*\.\n", _STATEMENTS[name])


@pytest.mark.parametrize("name", _STATEMENTS)
def test_a_statement_walks_through_no_large_table(name: str) -> None:
    """What grows is searched by an index or by its key."""
    scans = [line for line in plan(_STATEMENTS[name]).splitlines() if line.startswith("SCAN")]
    if name in _AT_START:
        assert all("INDEX" in line or "subquery" in line for line in scans)
        return
    if name == "RUNS_LANES_READY":
        scans = [line for line in scans if not _JUMPS.fullmatch(line)]
    assert [line for line in scans if not _MAY_SCAN.fullmatch(line)] == []


@pytest.mark.parametrize("name", [name for name, sql in _STATEMENTS.items() if "INSERT" not in sql])
def test_a_statement_uses_the_index_that_it_names(name: str) -> None:
    """The comment is true."""
    sql = _STATEMENTS[name]
    assert [index for index in _INDEX.findall(sql.splitlines()[0]) if index not in plan(sql)] == []
