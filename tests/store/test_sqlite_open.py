"""How a file is opened as a store, and when it is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from controlplane.errors import StoreError
from controlplane.store.sqlite.migrations import APPLICATION_ID, MIGRATIONS
from controlplane.store.sqlite.open import SqliteStore
from controlplane.store.sqlite.reader import SqliteReader
from tests.store.rows import NOW, committing, event, ids, leased, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a file may be."""
    return tmp_path / "steplane.db"


@pytest.fixture
def umask() -> Iterator[None]:
    """A process that lets everybody read what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


def make(path: Path) -> None:
    """A file with one event."""
    with closing(SqliteStore.open(path)) as store, committing(store) as tx:
        tx.insert_events([event(1)])


def refusal(path: Path) -> str:
    """What is said when the file is refused; it must name the path."""
    with pytest.raises(StoreError) as caught:
        SqliteStore.open(path)
    message = str(caught.value)
    assert str(path) in message
    return message


@pytest.mark.usefixtures("umask")
def test_its_files_are_for_their_owner_only(path: Path) -> None:
    """The file, its log and its lock can be read by nobody else."""
    with closing(SqliteStore.open(path)) as store:
        with committing(store) as tx:
            tx.insert_events([event(1)])
        names = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert names == dict.fromkeys(["steplane.db", "steplane.db-wal", "steplane.db-shm", "steplane.db.lock"], 0o600)


def test_it_is_durable_unless_told_otherwise(path: Path) -> None:
    """By default each commit waits for the disk, and only the writer ever checkpoints."""
    with closing(SqliteStore.open(path)) as store:
        writer = store._writer.connection
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
        with store.read() as reader:
            assert isinstance(reader, SqliteReader)
            connection = reader._connection
            assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute("DELETE FROM events")
    with closing(SqliteStore.open(path, synchronous="normal")) as store:
        assert store._writer.connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_an_existing_file_keeps_its_data(path: Path) -> None:
    """Opening a file again changes nothing in it."""
    make(path)
    for _ in range(2):
        with closing(SqliteStore.open(path)) as store, store.begin() as tx:
            assert tx.events([1]) == {1: event(1)}


def test_closing_leaves_one_file(path: Path) -> None:
    """After closing everything is in the file itself, and only the lock file lies beside it."""
    make(path)
    assert {file.name for file in path.parent.iterdir()} == {"steplane.db", "steplane.db.lock"}


def test_a_second_server_is_refused(path: Path) -> None:
    """While a process has the file, another is told which process that is; afterwards it is free."""
    script = (
        "import sys; from pathlib import Path; from controlplane.store.sqlite.open import SqliteStore\n"
        "store = SqliteStore.open(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read(); store.close()"
    )
    command = [sys.executable, "-c", script, str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert f"another server uses it (process {other.pid}); stop that one" in refusal(path)
        other.communicate()
    make(path)


def test_a_killed_server_leaves_no_lock(path: Path) -> None:
    """The lock is the process's own: after SIGKILL the file can be opened at once, with all that was committed."""
    script = (
        "import os, signal, sys; from pathlib import Path; from controlplane.store.sqlite.open import SqliteStore\n"
        "from tests.store.rows import committing, event\n"
        "with committing(SqliteStore.open(Path(sys.argv[1]))) as tx: tx.insert_events([event(1)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["", *sys.path])}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script, str(path)], env=environment, cwd=root, check=False)
    with closing(SqliteStore.open(path)) as store, store.begin() as tx:
        assert tx.events([1]) == {1: event(1)}


def test_the_same_file_by_another_name_is_refused(path: Path) -> None:
    """A link does not get around the lock."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    with closing(SqliteStore.open(path)), pytest.raises(StoreError, match="another server uses it"):
        SqliteStore.open(link)


def test_a_refused_file_is_not_locked(path: Path) -> None:
    """After a refusal the lock is free, so that a repaired file can be opened."""
    path.write_bytes(b"this is no database, but it is long enough to be looked at" * 100)
    refusal(path)
    path.unlink()
    make(path)


def test_a_newer_schema_is_refused(path: Path) -> None:
    """A file that a newer version migrated is left alone, and the message says which steps are unknown."""
    make(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('steplane', 'm9999_later', '')"
        )
    assert "a newer version of Steplane wrote it (with m9999_later); start that version" in refusal(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_an_older_file_is_migrated(path: Path) -> None:
    """Steps that a file lacks are done when it is opened: one that has none yet, though it is marked as ours."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    make(path)
    with closing(SqliteStore.open(path)) as store, store.begin() as tx:
        assert tx.events([1]) == {1: event(1)}


def test_migrations_are_numbered() -> None:
    """Each step's name has its number, from one up, without a gap."""
    names = [migration.name for migration in MIGRATIONS.pending(Database(memory=True))]
    assert [int(name[1:5]) for name in names] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("application_id", [0, 42])
def test_another_programs_file_is_refused(path: Path, application_id: int) -> None:
    """An SQLite file that is not ours is refused and not changed."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {application_id}")
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    assert "another program's SQLite file; give another path" in refusal(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused(path: Path) -> None:
    """Any other file is refused and not changed."""
    content = b"this is no database, but it is long enough to be looked at" * 100
    path.write_bytes(content)
    assert "not an SQLite file; give another path" in refusal(path)
    assert path.read_bytes() == content


def test_a_truncated_file_is_refused(path: Path) -> None:
    """A file that lost its end is said to be damaged, with what to do."""
    make(path)
    with path.open("r+b") as file:
        file.truncate(5 * 4096)
    assert "damaged; restore a backup" in refusal(path)


def test_a_missing_folder_is_refused(path: Path) -> None:
    """The message names the folder to be made."""
    message = refusal(path / "below" / "steplane.db")
    assert f"there is no folder {path / 'below'}; make it" in message


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A path that is no file is said to be none."""
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "give the path of a file" in refusal(folder)
    assert list(folder.iterdir()) == []


def test_strange_names_are_fine(tmp_path: Path) -> None:
    """A name that means something in a URI is a name as any other."""
    path = tmp_path / "a b?mode=ro#%41ü.db"
    make(path)
    assert path.is_file()


def test_memory_is_gone_after_closing() -> None:
    """A store in memory leaves nothing behind."""
    store = SqliteStore.open(":memory:")
    folder = store._path.parent
    assert folder.is_dir()
    store.close()
    assert not folder.exists()


def test_one_thread_writes(path: Path) -> None:
    """A transaction from a second thread is a bug."""
    caught: list[BaseException] = []

    def begin_elsewhere() -> None:
        try:
            store.begin()
        except AssertionError as error:
            caught.append(error)

    with closing(SqliteStore.open(path)) as store:
        with store.begin():
            pass
        thread = threading.Thread(target=begin_elsewhere)
        thread.start()
        thread.join()
    assert len(caught) == 1


def test_one_transaction_at_a_time(path: Path) -> None:
    """To begin inside a transaction is a bug, and undoes the outer one."""

    def begin_twice() -> None:
        with store.begin() as tx:
            tx.insert_events([event(1)])
            with store.begin():
                pass

    with closing(SqliteStore.open(path)) as store:
        with pytest.raises(AssertionError):
            begin_twice()
        with store.begin() as tx:
            assert tx.events([1]) == {}


def test_a_closed_store_is_not_read(path: Path) -> None:
    """A reader that comes too late is told so, and one that was there ends in peace."""
    store = SqliteStore.open(path)
    with store.read() as reader:
        store.close()
        assert reader.next_due() is None
    with pytest.raises(StoreError, match="closed"), store.read():
        pass


def test_what_another_program_changed_is_seen(path: Path) -> None:
    """An operator's repair by hand is seen by the next transaction, also in runs that are remembered."""
    (run_id,) = ids(1)
    with closing(SqliteStore.open(path)) as store:
        with committing(store) as tx:
            tx.insert_runs([leased(run(run_id))])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE runs SET attempt = 7")
        with store.begin() as tx:
            assert tx.runs([run_id]) == {run_id: leased(run(run_id))._replace(attempt=7)}


def test_the_log_is_emptied_when_idle(path: Path) -> None:
    """House-keeping moves a long log into the file, not a short one, and does not wait for readers."""
    log = path.with_name(path.name + "-wal")
    with closing(SqliteStore.open(path)) as store:
        store.checkpoint()
        with committing(store) as tx:
            tx.insert_events([event(1)])
        store.checkpoint()
        assert log.stat().st_size > 0
        with committing(store) as tx:
            tx.insert_events([event(key, data=bytes(500_000)) for key in range(2, 20)])
        with store.read() as reader:
            assert reader.next_due() is None
            store.checkpoint()
        store.checkpoint()
        assert log.stat().st_size == 0
        with store.begin() as tx:
            assert len(tx.events(range(1, 20))) == 19
            assert tx.timers_due(NOW, 1) == []
