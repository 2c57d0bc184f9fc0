"""Generate the Python code of proto/ beside each user of it: `python proto/generate.py [--check]`.

With `--check` nothing is written: it fails if what is there is not what would be written. protoc writes absolute imports of `steplane.v1`; each copy lives in a package of its own, so they are rewritten.
"""

import re
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
TARGETS = {
    "controlplane.gen": ROOT.parent / "controlplane" / "gen",
    "steplane.gen": ROOT.parent / "sdk_py" / "steplane" / "gen",
}
NOTE = '"""Generated from proto/ by `make proto`; not edited by hand."""\n'


def generate(package: str, target: Path) -> None:
    """Write the modules of one package, replacing what is there."""
    for old in target.rglob("*.py*"):
        old.unlink()
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto"))
    target.mkdir(parents=True, exist_ok=True)
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")
    for path in target.rglob("*.py*"):
        text = path.read_text()
        text = re.sub(r"^from steplane\.v1 import", f"from {package}.steplane.v1 import", text, flags=re.MULTILINE)
        path.write_text(text)
    for path in (target, target / "steplane", target / "steplane" / "v1"):
        (path / "__init__.py").write_text(NOTE)


def check(package: str, target: Path) -> list[str]:
    """The files of one package that are stale."""
    with TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(package, fresh)
        names = {
            path.relative_to(base) for base in (fresh, target) for path in base.rglob("*.py*") if path.suffix != ".pyc"
        }
        return [str(target / name) for name in sorted(names) if _read(fresh / name) != _read(target / name)]


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    if "--check" in sys.argv:
        stale = [name for package, target in TARGETS.items() for name in check(package, target)]
        if stale:
            sys.exit("stale, run `make proto`:\n  " + "\n  ".join(stale))
    else:
        for package, target in TARGETS.items():
            generate(package, target)
