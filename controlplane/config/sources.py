"""Puts the configuration together: flags before environment before file before defaults; tells all problems at once."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from controlplane.config.config import SETTINGS, Config, Setting

FILE_VARIABLE: Final = "STEPLANE_CONFIG"
_DEFAULT: Final = "default"


class ConfigError(Exception):
    """The configuration can't be used; `problems` tells everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        many = f"has {len(problems)} problems" if len(problems) > 1 else "has a problem"
        super().__init__("\n  ".join([f"the configuration {many}:", *problems]))
        self.problems = problems


class Loaded(NamedTuple):
    """A configuration without problems, and where each of its values came from."""

    config: Config
    sources: dict[str, str]

    def toml(self) -> str:
        """It as a file that gives the same configuration."""
        lines = []
        for setting in SETTINGS:
            value = getattr(self.config, setting.name)
            text = setting.show(value)
            literal = text if setting.kind.is_bare else json.dumps(text, ensure_ascii=False)
            line = f"# {setting.name} is not set" if value is None else f"{setting.name} = {literal}"
            lines.append(f"{line}  # {self.sources[setting.name]}" if value is not None else line)
        return "\n".join(lines) + "\n"


class _Raw(NamedTuple):
    source: str
    value: Any


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Loaded:
    """Read every source. `flags` are by the settings' names, those not given being `None`; `config` names the file.

    Raises `ConfigError`.
    """
    problems: list[str] = []
    raw = _from_file(flags, environ, problems)
    raw.update(_from_environment(environ))
    raw.update((s.name, _Raw(s.flag, flags[s.name])) for s in SETTINGS if flags.get(s.name) is not None)
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    for setting in SETTINGS:
        if setting.name in raw:
            try:
                values[setting.name] = setting.kind.parse(raw[setting.name].value)
            except ValueError:
                problems.append(_misspelt(setting, raw[setting.name]))
                wrong.add(setting.name)
    config = Config(**values)
    sources = {s.name: raw[s.name].source if s.name in raw else _DEFAULT for s in SETTINGS}
    problems += _contradictions(config, sources, wrong)
    if problems:
        raise ConfigError(problems)
    return Loaded(config, sources)


def _from_file(flags: Mapping[str, Any], environ: Mapping[str, str], problems: list[str]) -> dict[str, _Raw]:
    named_by, path = (
        ("--config", flags.get("config")) if flags.get("config") else (FILE_VARIABLE, environ.get(FILE_VARIABLE))
    )
    if not path:
        return {}
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{named_by}: {path} can't be read: {error.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{named_by}: {path} is not TOML: {error}")
        return {}
    names = [setting.name for setting in SETTINGS]
    for name in table.keys() - set(names):
        near = difflib.get_close_matches(name, names, n=1)
        problems.append(f"{path}: there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return {name: _Raw(f"{name} in {path}", table[name]) for name in names if name in table}


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Raw]:
    """An empty variable counts as none."""
    return {s.name: _Raw(s.variable, environ[s.variable]) for s in SETTINGS if environ.get(s.variable)}


def _misspelt(setting: Setting, raw: _Raw) -> str:
    shown = json.dumps(raw.value, ensure_ascii=False, default=str)
    return f"{raw.source}: {shown} is no {setting.kind.name}. {setting.kind.remedy}"


def _contradictions(config: Config, sources: Mapping[str, str], wrong: set[str]) -> list[str]:
    by_name = {setting.name: setting for setting in SETTINGS}
    found = []
    for problem in config.problems():
        if wrong.isdisjoint(problem.settings):
            told = (_told(by_name[name], config, sources[name]) for name in problem.settings)
            found.append(f"{problem.text} ({', '.join(told)})")
    return found


def _told(setting: Setting, config: Config, source: str) -> str:
    where = f"{setting.name} by default" if source == _DEFAULT else source
    return f"{where}: {setting.show(getattr(config, setting.name)) or 'not set'}"
