"""The list of all settings for the documentation, made from the settings themselves."""

from __future__ import annotations

import sys
from typing import Final

from controlplane.config.config import SETTINGS

_HEAD: Final = """\
# Settings of the server

Each setting can be given in three ways, of which the first that is there counts: a flag of `steplane serve`
(`--session-timeout 1m`), a variable of the environment (`STEPLANE_SESSION_TIMEOUT=1m`; an empty one counts as none), a
line of the TOML file that `--config` or `STEPLANE_CONFIG` names (`session_timeout = "1m"`). `steplane serve
--print-config` shows what is in force and where it came from, as such a file.

A duration is written as `24h`, `1h30m`, `500ms`, or as a number of seconds; a size as `512KiB`, `4MiB`, or as a number of
bytes.

| setting | kind | default | meaning |
| --- | --- | --- | --- |
"""


def reference() -> str:
    """The reference page of the configuration, in Markdown."""
    rows = []
    for setting in SETTINGS:
        default = f"`{setting.show(setting.default)}`" if setting.default is not None else "not set"
        kind = setting.kind.name.replace("|", "\\|")
        rows.append(f"| `{setting.name}` | {kind} | {default} | {setting.doc} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(reference())
