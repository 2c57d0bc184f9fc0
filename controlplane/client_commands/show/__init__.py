"""How answers look: as JSON for programs, as tables and trees for people. No I/O but the one console."""
