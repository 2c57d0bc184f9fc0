"""What is said and kept when the disk does not do its work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controlplane.errors import StoreError
from controlplane.store.sqlite.open import SqliteStore
from tests.store.rows import NOW, committing, event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "steplane.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """A store with one event."""
    with closing(SqliteStore.open(path, synchronous="normal")) as opened:
        with committing(opened) as tx:
            tx.insert_events([event(1)])
        yield opened


def test_a_full_disk(store: SqliteStore, path: Path) -> None:
    """A full disk is a StoreError that names the file and the remedy; nothing is half done, and room helps."""
    (pages,) = store._writer.connection.execute("PRAGMA page_count").fetchone()
    store._writer.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=f"^{path}: the disk is full; make room"), committing(store) as tx:
        tx.insert_events([event(2, data=b"2"), event(3, data=bytes(100_000))])
    with store.begin() as tx:
        assert tx.events([1, 2, 3]) == {1: event(1)}
    store._writer.connection.execute("PRAGMA max_page_count = 1000000")
    with committing(store) as tx:
        tx.insert_events([event(2)])


def test_a_damaged_file(store: SqliteStore, path: Path) -> None:
    """A damaged page is a StoreError that names the file and the remedy, for transactions and for readers."""
    with committing(store) as tx:
        tx.insert_events([event(key, data=bytes(3_000)) for key in range(2, 100)])
    store.close()
    content = bytearray(path.read_bytes())
    content[-50 * 4096 :] = b"\xaa" * 50 * 4096
    path.write_bytes(content)
    with closing(SqliteStore.open(path)) as damaged:
        with pytest.raises(StoreError, match=f"^{path}: it is damaged; restore a backup"), damaged.begin() as tx:
            tx.events(range(1, 100))
        with pytest.raises(StoreError, match=f"^{path}: it is damaged; restore a backup"), damaged.read() as reader:
            reader.list_events("default", name="", id_="", before_key=0, limit=100, bytes_max=10**9)


def test_another_program_holds_a_lock(store: SqliteStore, path: Path) -> None:
    """A program that keeps the file locked is a StoreError, once it was waited for; afterwards all is well."""
    store._writer.connection.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=f"^{path}: another program holds a lock"), store.begin():
            pass
        other.execute("ROLLBACK")
    with committing(store) as tx:
        assert tx.timers_due(NOW, 1) == []


def test_a_bug_is_no_fault_of_the_disk(store: SqliteStore) -> None:
    """What no disk can cause is not called a StoreError."""
    with pytest.raises(sqlite3.IntegrityError), store.begin() as tx:
        tx.insert_events([event(1)])
    with store.begin() as tx:
        assert tx.events([1]) == {1: event(1)}
