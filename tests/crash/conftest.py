"""What crash tests share."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.proxy import Proxy
from tests.crash.stage import Stage

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))
"""The short form does one round of each random test; `make crash` does many. A round kills or cuts several times."""
SEED = int(os.environ["CRASH_SEED"])
"""By chance, if nobody chose one; see `tests/conftest.py`."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A place for a server and its file; no process outlives the test."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def proxy(stage: Stage) -> Iterator[Proxy]:
    """A proxy before the server's port."""
    proxy = Proxy(stage.port)
    yield proxy
    proxy.close()


@pytest.fixture(params=range(ROUNDS), ids=lambda number: f"seed={SEED + number}")
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be had again: CRASH_SEED is in the test's name."""
    return random.Random(SEED + int(request.param))
