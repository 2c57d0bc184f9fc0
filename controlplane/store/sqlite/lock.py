"""Makes sure that one process at a time has a file open as its store."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from controlplane.errors import StoreError


class FileLock:
    """A lock file beside the database, held as long as its descriptor is open: the system frees it with the process.

    The file stays when the lock is given back; to delete it could free a lock that another process just took.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock for the database at `path`; raises `StoreError` if another process has it."""
        lock_path = path.with_name(path.name + ".lock")
        self._file = os.fdopen(os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with self._file:
                holder = self._file.readline().strip()
            raise StoreError(
                f"{path}: another server uses it (process {holder or 'unknown'}); stop that one, or give another path"
            ) from None
        self._file.truncate()
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()
