"""What an operator can set: flags before environment before file before defaults, checked as a whole.

Nothing else of the server reads the environment.
"""

from __future__ import annotations

from controlplane.config.config import SETTINGS, Config, Problem, Setting
from controlplane.config.sources import ConfigError, Loaded, load
from controlplane.config.values import Address, Failpoint

__all__ = [
    "SETTINGS",
    "Address",
    "Config",
    "ConfigError",
    "Failpoint",
    "Loaded",
    "Problem",
    "Setting",
    "load",
]
