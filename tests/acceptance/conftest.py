"""What acceptance tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.place import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server that runs for all tests of a file."""
    place = Place(tmp_path_factory.mktemp("place"))
    place.start_server()
    yield place
    place.close()
