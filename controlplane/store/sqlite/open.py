"""Opens a file as the store, or refuses it with a reason and a remedy."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from controlplane.core.limits import MIB
from controlplane.errors import StoreError
from controlplane.store.interface import Reader, Tx
from controlplane.store.sqlite.connection import Synchronous, connect_writer
from controlplane.store.sqlite.lock import FileLock
from controlplane.store.sqlite.migrations import migrate
from controlplane.store.sqlite.reader import ReaderPool, SqliteReader
from controlplane.store.sqlite.statement import blaming_disk, run
from controlplane.store.sqlite.tx import SqliteTx, Writer

#: The path that stands for a store that is gone when it is closed.
IN_MEMORY: Final = ":memory:"

_MEMORY_FOLDER: Final = Path("/dev/shm")  # noqa: S108 only the parent of a fresh private folder
_CHECKPOINT_BYTES_MIN: Final = 4 * MIB


class SqliteStore:
    """The store on one SQLite file."""

    @classmethod
    def open(cls, path: str | Path, *, synchronous: Synchronous = "full") -> SqliteStore:
        """Open a file, or make it, and bring it to this version. Raises `StoreError` with what to do about it.

        ":memory:" is a file too, in a private folder that is deleted in the end: between connections SQLite's own
        memory databases share their locks and what is not committed yet.
        """
        if str(path) != IN_MEMORY:
            return cls(Path(path).resolve(), synchronous, None)
        folder = TemporaryDirectory(prefix="steplane-", dir=_MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else None)
        return cls(Path(folder.name) / "memory.db", "off", folder)

    def __init__(self, path: Path, synchronous: Synchronous, folder: TemporaryDirectory[str] | None) -> None:
        """Called by `open`."""
        self._path = path
        self._folder = folder
        self._lock = _lock(path)
        try:
            self._writer = _open(path, synchronous)
        except BaseException:
            self._lock.release()
            raise
        self._connection = self._writer.connection
        self._readers = ReaderPool(path)
        self._thread: int | None = None

    def begin(self) -> Tx:
        """A write transaction; to be called by one thread only, one at a time."""
        self._assert_thread()
        return SqliteTx(self._writer)

    def read(self) -> Reader:
        """A view to read from; in any thread, many at a time."""
        return SqliteReader(self._readers)

    def checkpoint(self) -> None:
        """Move what was written from the log into the file, if there is much of it."""
        self._assert_thread()
        try:
            size = self._path.with_name(self._path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return
        if size >= _CHECKPOINT_BYTES_MIN:
            # A reader may hold it up; then it is done another time, rather than waited for.
            run(self._connection, "PRAGMA busy_timeout = 0")
            run(self._connection, "PRAGMA wal_checkpoint(TRUNCATE)")
            run(self._connection, "PRAGMA busy_timeout = 5000")

    def close(self) -> None:
        """Close all connections, and give the file free."""
        self._readers.close()
        self._connection.close()
        self._lock.release()
        if self._folder is not None:
            self._folder.cleanup()

    def _assert_thread(self) -> None:
        thread = threading.get_ident()
        if self._thread is None:
            self._thread = thread
        assert thread == self._thread, "one thread writes: the first one that began a transaction"


def _lock(path: Path) -> FileLock:
    """Take the lock, and make the file if there is none."""
    try:
        lock = FileLock(path)
        try:
            # SQLite gives the files that it makes beside this one the same rights.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except BaseException:
            lock.release()
            raise
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no folder {path.parent}; make it, or give another path") from None
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}; give the path of a file that the server's user can write"
        ) from None
    return lock


def _open(path: Path, synchronous: Synchronous) -> Writer:
    with blaming_disk(path):
        connection = connect_writer(path, synchronous=synchronous)
        try:
            migrate(connection)
            return Writer(connection)
        except BaseException:
            connection.close()
            raise
