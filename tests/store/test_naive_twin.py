"""A store against its naive twin."""

from __future__ import annotations

import pytest

from controlplane.store.interface import Store
from tests.store.twin import drive


@pytest.mark.parametrize("seed", range(10))
def test_a_store_is_like_its_twin(store: Store, seed: int) -> None:
    """After any sequence of changes, commits and roll-backs a store says what its twin says."""
    drive(store, seed=seed)
