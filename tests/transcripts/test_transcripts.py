"""Stories of the whole engine, as text: what was done, and what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.store.sqlite.open import SqliteStore
from tests.transcripts.story import play

STORES = ["sqlite"]
STORIES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_story_goes_as_it_is_told(path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    """What happens is what the file says, on every store."""
    told = path.read_text()
    store = SqliteStore.open(":memory:")
    try:
        happened = play(told, store)
    finally:
        store.close()
    if request.config.getoption("--rewrite"):
        path.write_text(happened)
    else:
        assert told == happened
