"""Runs statements, in sets, and turns what the disk does wrong into a `StoreError`.

With each step of a statement the thread gives up the interpreter's lock, and to get it back from a busy event loop
takes longer than the step. So rows are written by one statement with a long VALUES list, and read as one JSON text;
neither steps once a row.

Binding follows the driver's fast path: it takes `int`, `str` and `bytearray` as they are, but asks a registry about
each `None`, `bytes`, `bool` or enum. So these are converted by who calls, and NULL is bound as a value that the column
can't have (`nullable_text`, `nullable_moment`) and made NULL by the statement.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from controlplane.core.limits import KIB
from controlplane.errors import StoreError
from controlplane.store.sqlite.connection import Connection

#: What stands for NULL, of another type than the column's, and how a statement takes it.
NULL_TEXT: Final = 0
NULL_MOMENT: Final = -1
TEXT_OR_NULL: Final = "nullif(?, 0)"
MOMENT_OR_NULL: Final = "nullif(?, -1)"

_SIZES: Final = (512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
_INLINE_BYTES_MAX: Final = 4 * KIB


def run(connection: Connection, sql: str, parameters: Any = ()) -> int:
    """Run a statement; the result is how many rows it changed."""
    try:
        return connection.execute(sql, parameters).rowcount
    except sqlite3.Error as error:
        _blame_disk(connection.path, error)
        raise


def fetch(connection: Connection, sql: str, parameters: Any = ()) -> list[Any]:
    """All rows of a query."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.Error as error:
        _blame_disk(connection.path, error)
        raise


def fetch_until(connection: Connection, sql: str, parameters: Any, *, blob: int, bytes_max: int) -> list[Any]:
    """The rows of a query, up to the one with which the blobs in column `blob` come to `bytes_max`."""
    rows: list[Any] = []
    size = 0
    try:
        with closing(connection.execute(sql, parameters)) as cursor:
            for row in cursor:
                rows.append(row)
                size += len(row[blob] or b"")
                if size >= bytes_max:
                    break
    except sqlite3.Error as error:
        _blame_disk(connection.path, error)
        raise
    return rows


def fetch_value(connection: Connection, sql: str, parameters: Any = ()) -> Any:
    """The only column of the only row of a query; `None` if there is no row."""
    rows = fetch(connection, sql, parameters)
    return rows[0][0] if rows else None


def fetch_packed(connection: Connection, sql: str, parameters: Any = ()) -> list[Any]:
    """The rows of a query that gives them as one JSON array. They come in no order."""
    found: list[Any] = json.loads(fetch(connection, sql, parameters)[0][0])
    return found


class Many:
    """One statement over any number of rows, which stand in it as `{rows}`.

    It is prepared for powers of two, and run a few times for other numbers.
    """

    def __init__(self, sql: str, row: str) -> None:
        """Take the statement, and the placeholders of one row."""
        self._width = row.count("?")
        self._sized = [(size, sql.replace("{rows}", ", ".join([row] * size))) for size in _SIZES]

    def run(self, connection: Connection, values: list[Any]) -> int:
        """Run it with the values of all rows, one after the other; the result is how many rows it changed."""
        changed = 0
        for sql, part in self._parts(values):
            changed += run(connection, sql, part)
        return changed

    def update(self, connection: Connection, values: list[Any], *, newest: str) -> None:
        """Run an INSERT that is to find all its rows there, and to change them; `newest` gets the last row's key."""
        before = fetch_value(connection, newest)
        self.run(connection, values)
        assert fetch_value(connection, newest) == before, "a row was to be changed that is not there"

    def fetch(self, connection: Connection, values: list[Any]) -> list[Any]:
        """All rows of a query with the values of all rows, one after the other."""
        found: list[Any] = []
        for sql, part in self._parts(values):
            found += fetch(connection, sql, part)
        return found

    def fetch_packed(self, connection: Connection, values: list[Any]) -> list[Any]:
        """The same for a query that gives its rows as one JSON array."""
        found: list[Any] = []
        for sql, part in self._parts(values):
            found += fetch_packed(connection, sql, part)
        return found

    def _parts(self, values: list[Any]) -> Iterable[tuple[str, list[Any]]]:
        start, end = 0, len(values)
        for size, sql in self._sized:
            length = size * self._width
            while end - start >= length:
                yield sql, values[start : start + length]
                start += length


def packed(columns: str) -> str:
    """The result column of a query that gives its rows as one JSON array."""
    return f"json_group_array(json_array({columns}))"


def packed_blob(blob: str, key: str) -> str:
    """A blob as JSON takes it: as hexadecimal text, or if it is large as its row's key; see `unpack_blobs`."""
    return f"CASE WHEN length({blob}) > {_INLINE_BYTES_MAX} THEN {key} WHEN {blob} NOT NULL THEN hex({blob}) END"


def unpack_blobs(connection: Connection, rows: Sequence[list[Any]], column: int, sql: str) -> None:
    """Put the blobs back into a column that `packed_blob` packed; `sql` gets a large one by its row's key."""
    for row in rows:
        value = row[column]
        if value is not None:
            row[column] = bytes.fromhex(value) if isinstance(value, str) else fetch_value(connection, sql, (value,))


@contextmanager
def blaming_disk(path: Path) -> Iterator[None]:
    """Turns errors into a `StoreError` where the driver is used directly."""
    try:
        yield
    except sqlite3.Error as error:
        _blame_disk(path, error)
        raise


_REMEDIES: Final = {
    sqlite3.SQLITE_BUSY: "another program holds a lock on it; close that program",
    sqlite3.SQLITE_LOCKED: "another program holds a lock on it; close that program",
    sqlite3.SQLITE_PROTOCOL: "another program holds a lock on it; close that program",
    sqlite3.SQLITE_READONLY: "it can't be written; let the server's user own the file and its folder",
    sqlite3.SQLITE_PERM: "it can't be opened; let the server's user own the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened; let the server's user own the file and its folder",
    sqlite3.SQLITE_FULL: "the disk is full; make room and start the server again",
    sqlite3.SQLITE_IOERR: "the disk failed; check it, then start the server again",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a backup, or save what can be saved with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite file; give another path",
}


def _blame_disk(path: Path, error: sqlite3.Error) -> None:
    """Raise a `StoreError` for what the disk or its user did; anything else is a bug, and stays what it is."""
    remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF)
    if remedy is not None:
        raise StoreError(f"{path}: {remedy} ({error.sqlite_errorname}: {error})") from error
