"""How SQLite is opened: one connection that writes and checkpoints, and any number that only read.

The SQLite that Python 3.11 brings can corrupt a file if one connection writes while another checkpoints. So readers are
read-only and never checkpoint, and only one process may open the file (`lock.py`).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

from controlplane.core.limits import KIB, MIB

#: "full" survives the loss of power; "normal" and "off" survive only the death of the process.
Synchronous = Literal["full", "normal", "off"]

#: A guard for the case that somebody looks into the file with another program.
_BUSY_SECONDS = 5.0
_STATEMENTS_CACHED = 1_024
_WRITER_CACHE_BYTES = 16 * MIB
_READER_CACHE_BYTES = 2 * MIB
_CHECKPOINT_PAGES = 4_000
_WAL_BYTES_KEPT = 64 * MIB


class Connection(sqlite3.Connection):
    """A connection that knows its file, so that errors can name it."""

    path: Path


def connect_writer(path: Path, *, synchronous: Synchronous) -> Connection:
    """Open the connection that writes. The file must exist; nothing is written to it yet."""
    connection = _connect(path, "rw")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_BYTES // KIB}")
    connection.execute("PRAGMA temp_store = memory")
    # Debian's SQLite overwrites what is deleted with zeros unless told otherwise; the file is its owner's alone anyway.
    connection.execute("PRAGMA secure_delete = off")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
    return connection


def connect_reader(path: Path) -> Connection:
    """Open a connection that can't write and never checkpoints."""
    connection = _connect(path, "ro")
    connection.execute("PRAGMA query_only = on")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_BYTES // KIB}")
    return connection


def _connect(path: Path, mode: Literal["ro", "rw"]) -> Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_CACHED,
        factory=Connection,
    )
    connection.path = path
    return connection
