"""`python -m controlplane` is `steplane`."""

from __future__ import annotations

import sys


def main() -> None:
    """The command, or how to install it: the SDK alone has the command's name too, but not what it needs."""
    try:
        from controlplane.cli import main as command

        command(prog_name="steplane")
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] == "controlplane":
            raise
        sys.exit(
            f"steplane: the command needs the server's packages ({missing.name} is missing):\n"
            "  pip install 'steplane[server]'"
        )


if __name__ == "__main__":
    main()
