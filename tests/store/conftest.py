"""The stores that the suite is about. A new store joins by a name in `STORES`, and a way to open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controlplane.store.interface import Store
from controlplane.store.sqlite.open import SqliteStore

STORES = ["sqlite"]


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """Which store the test is run with."""
    return str(request.param)


@pytest.fixture
def store(kind: str) -> Iterator[Store]:
    """An empty store."""
    assert kind == "sqlite"
    opened = SqliteStore.open(":memory:")
    yield opened
    opened.close()


@pytest.fixture
def reopen(kind: str, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store again and again, closing it in between."""
    assert kind == "sqlite"
    opened: list[Store] = []

    def open_again() -> Store:
        while opened:
            opened.pop().close()
        opened.append(SqliteStore.open(tmp_path / "steplane.db", synchronous="off"))
        return opened[0]

    yield open_again
    while opened:
        opened.pop().close()
