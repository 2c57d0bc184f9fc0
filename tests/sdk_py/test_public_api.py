"""What the package offers. That its names are a list, and that it is light, is proven in `tests/repo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import steplane

HERE = Path(__file__).parent


def test_every_public_member_is_documented() -> None:
    """Each public class says what each of its methods does."""
    for name in steplane.__all__:
        value = getattr(steplane, name)
        for member, function in vars(value).items() if isinstance(value, type) else ():
            if not member.startswith("_") and callable(function):
                assert function.__doc__, f"{name}.{member}"


def test_users_are_helped_by_types() -> None:
    """The public API, used as it is meant to be, passes mypy in its strict mode; misuse does not."""
    command = [sys.executable, "-m", "mypy", HERE / "typing_api.py"]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
