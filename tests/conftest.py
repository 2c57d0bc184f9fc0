"""What all tests share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rewrite` writes the golden texts anew; the diff is to be read as the change of behaviour that it is."""
    parser.addoption("--rewrite", action="store_true", help="write the golden texts anew")
