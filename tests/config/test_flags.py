"""The settings as the command line has them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from click.testing import CliRunner, Result

from controlplane.cli import main
from controlplane.config import SETTINGS


def _serve(*flags: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, ["serve", *flags], prog_name="steplane")


def test_help_tells_every_setting_with_its_default() -> None:
    """`serve --help` is the reference that is always at hand."""
    told = " ".join(_serve("--help").output.split())

    for setting in SETTINGS:
        assert setting.flag in told
        assert setting.default is None or f"[default: {setting.show(setting.default)}]" in told


def test_print_config_shows_what_is_in_force_and_starts_nothing(tmp_path: Path) -> None:
    """It is TOML, with the source of each value beside it."""
    db = tmp_path / "steplane.db"

    result = _serve("--print-config", "--db", str(db), "--no-reflection", STEPLANE_RETENTION="30d")

    assert result.exit_code == 0
    table = tomllib.loads(result.output)
    assert (table["db"], table["reflection"], table["retention"]) == (str(db), False, "30d")
    assert 'retention = "30d"  # STEPLANE_RETENTION' in result.output.splitlines()
    assert not db.exists()


def test_print_config_refuses_wrong_settings_too() -> None:
    """So it can check a configuration before it is put to use."""
    result = _serve("--print-config", "--heartbeat-interval", "1m")

    assert result.exit_code == 2
    assert "--heartbeat-interval: 1m, session_timeout by default: 30s" in result.output


def test_a_flag_that_there_is_not_is_refused() -> None:
    """With the near miss named."""
    result = _serve("--retension", "1d")

    assert result.exit_code == 2
    assert "--retention" in result.output
