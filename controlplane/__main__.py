"""`python -m controlplane` is `steplane`."""

from __future__ import annotations

from controlplane.cli import main

if __name__ == "__main__":
    main(prog_name="steplane")
