"""Sessions in transactions."""

from __future__ import annotations

from controlplane.store.interface import Store
from tests.store.rows import NOW, committing, session


def test_sessions_are_stored_by_id(store: Store) -> None:
    """A new id is a new session; a known one gets its new values."""
    first, second = session("session-1"), session("session-2", namespace="other", language="go")
    with committing(store) as tx:
        tx.upsert_sessions(iter([first, second]))
        assert sorted(tx.sessions()) == [first, second]
    later = second._replace(expires_at=NOW + 99, instance_id="host-2", is_poller=True)
    with committing(store) as tx:
        tx.upsert_sessions([later])
        assert sorted(tx.sessions()) == [first, later]


def test_sessions_are_deleted(store: Store) -> None:
    """Those named are gone; an unknown id is no error."""
    with committing(store) as tx:
        tx.upsert_sessions([session(f"session-{place}") for place in range(3)])
        tx.delete_sessions(iter(["session-0", "session-2", "unknown"]))
        assert tx.sessions() == [session("session-1")]


def test_sets_of_any_size(store: Store) -> None:
    """Sets are not bounded by what one statement takes."""
    rows = [session(f"session-{place:04}") for place in range(2_000)]
    with committing(store) as tx:
        tx.upsert_sessions(rows)
        assert sorted(tx.sessions()) == rows
        tx.delete_sessions(row.id for row in rows[:-1])
        assert tx.sessions() == rows[-1:]
