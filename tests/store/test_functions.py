"""Functions in transactions and readers."""

from __future__ import annotations

from controlplane.core.definition import CronTrigger, EventTrigger, RetryPolicy
from controlplane.store.interface import Store
from tests.store.rows import NOW, committing, function


def test_a_function_comes_back_as_it_was_stored(store: Store) -> None:
    """Every field of the definition is kept, and a new function gets a key."""
    row = function("bill")
    definition = row.definition._replace(
        triggers=(
            EventTrigger("a/*"),
            EventTrigger("cron", "event.data.cron == 'ü'"),
            CronTrigger("@daily", "Europe/Berlin"),
        ),
        retry=RetryPolicy(0, (), 0),
    )
    with committing(store) as tx:
        stored = tx.upsert_function(row._replace(definition=definition))
        assert stored.key >= 1
        assert stored == row._replace(definition=definition, key=stored.key)
    with committing(store) as tx:
        assert tx.functions() == [stored]


def test_a_function_is_known_by_its_names(store: Store) -> None:
    """The same namespace, app and id is the same function and keeps its key; any other is another."""
    with committing(store) as tx:
        first = tx.upsert_function(function("bill"))
        others = [
            tx.upsert_function(function("ship")),
            tx.upsert_function(function("bill", app_id="other")),
            tx.upsert_function(function("bill", namespace="other")),
        ]
        assert len({first.key, *(other.key for other in others)}) == 4
        again = tx.upsert_function(function("bill")._replace(version=2, updated_at=NOW + 1))
        assert again == first._replace(version=2, updated_at=NOW + 1)
        assert tx.upsert_function(again._replace(version=3)) == again._replace(version=3)
    with committing(store) as tx:
        assert sorted(tx.functions()) == sorted([again._replace(version=3), *others])


def test_functions_are_listed_by_name(store: Store) -> None:
    """A reader lists one namespace by (app id, function id), in pages, and filters by app."""
    with committing(store) as tx:
        for app_id in ("shop", "bank"):
            for function_id in ("c", "a", "b"):
                tx.upsert_function(function(function_id, app_id=app_id))
        tx.upsert_function(function("z", namespace="other"))

    def names(*, app_id: str = "", after: tuple[str, str] = ("", ""), limit: int = 100) -> list[str]:
        with store.read() as reader:
            rows = reader.list_functions("default", app_id=app_id, after=after, limit=limit)
            return [f"{row.definition.app_id}/{row.definition.function_id}" for row in rows]

    assert names() == ["bank/a", "bank/b", "bank/c", "shop/a", "shop/b", "shop/c"]
    assert names(limit=2) == ["bank/a", "bank/b"]
    assert names(after=("bank", "b"), limit=2) == ["bank/c", "shop/a"]
    assert names(after=("shop", "c")) == []
    assert names(app_id="shop") == ["shop/a", "shop/b", "shop/c"]
    assert names(app_id="shop", after=("shop", "a"), limit=1) == ["shop/b"]
    assert names(app_id="unknown") == []


def test_listed_functions_are_whole(store: Store) -> None:
    """A reader gives the same rows as a transaction."""
    with committing(store) as tx:
        stored = tx.upsert_function(function("bill"))
    with store.read() as reader:
        assert reader.list_functions("default", app_id="", after=("", ""), limit=10) == [stored]
