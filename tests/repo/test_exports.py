"""The SDK's public names are a list, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import types

import steplane


def test_the_public_names_are_a_sorted_list() -> None:
    """`__all__` is sorted, and names all that is public."""
    public = [
        name
        for name, value in vars(steplane).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    ]

    assert sorted(steplane.__all__) == list(steplane.__all__)
    assert sorted(public) == sorted(name for name in steplane.__all__ if not name.startswith("_"))


def test_every_public_name_is_documented() -> None:
    """Each has a docstring of its own."""
    assert [name for name in steplane.__all__ if not (getattr(steplane, name).__doc__ or "").strip()] == []


def test_the_sdk_is_light() -> None:
    """Importing it loads nothing of the server, nor anything that only the server needs."""
    heavy = {"controlplane", "sqlite_utils", "structlog", "croniter", "click", "rich", "cel"}
    code = f"import sys, steplane; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
