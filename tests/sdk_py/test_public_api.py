"""What the package offers, and what it brings with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import steplane

HERE = Path(__file__).parent


def test_the_public_names_are_a_list() -> None:
    """`__all__` is sorted, and is all that can be had from the package but its modules."""
    assert sorted(steplane.__all__, key=str) == steplane.__all__
    modules = {name for name, value in vars(steplane).items() if type(value) is type(steplane)}
    assert {name for name in vars(steplane) if not name.startswith("_")} - modules == set(steplane.__all__)
    assert (Path(steplane.__file__).parent / "py.typed").exists()


def test_every_public_name_is_documented() -> None:
    """Each has a docstring, and so has what it offers."""
    for name in steplane.__all__:
        value = getattr(steplane, name)
        assert value.__doc__, name
        for member, function in vars(value).items() if isinstance(value, type) else ():
            if not member.startswith("_") and callable(function):
                assert function.__doc__, f"{name}.{member}"


def test_users_are_helped_by_types() -> None:
    """The public API, used as it is meant to be, passes mypy in its strict mode; misuse does not."""
    command = [sys.executable, "-m", "mypy", HERE / "typing_api.py"]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sdk_is_light() -> None:
    """It brings gRPC and protobuf, and nothing of the server."""
    program = "import sys, steplane; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names)
    wanted = {name for name in foreign if not name.startswith("_")} & {"steplane", "grpc", "google"}
    assert wanted == {"steplane", "grpc", "google"}
    assert not foreign & {
        "controlplane",
        "click",
        "orjson",
        "rich",
        "sqlite_utils",
        "structlog",
        "uvloop",
        "croniter",
        "cel",
    }
