"""What all tests share."""

from __future__ import annotations

import os
import random

import pytest

# One seed for all processes of a session: with `-n` each of them collects, and all have to have the same tests. It is here,
# since the conftest of a folder is read after those above it.
os.environ.setdefault("CRASH_SEED", str(random.randrange(2**32)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rewrite` writes the golden texts anew; the diff is to be read as the change of behaviour that it is."""
    parser.addoption("--rewrite", action="store_true", help="write the golden texts anew")
