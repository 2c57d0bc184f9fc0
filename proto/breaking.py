"""Refuse a change of the contract that would break deployed workers: `python proto/breaking.py`.

Compared with the newest tag `v*`; until there is one nothing is released, and nothing can break.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """The exit status of `buf breaking`."""
    tags = subprocess.run(
        ["git", "tag", "--list", "v*", "--sort=-version:refname"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tags:
        print("contract: no release yet to compare with")
        return 0
    buf = str(Path(sys.executable).parent / "buf")
    against = f"{ROOT.parent}/.git#tag={tags[0]},subdir=proto"
    return subprocess.run([buf, "breaking", "--against", against], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
