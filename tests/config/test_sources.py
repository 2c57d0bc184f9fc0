"""Where settings come from, and how problems with them are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.config import SETTINGS, Address, Config, ConfigError, Setting, load
from controlplane.core.limits import HOUR, MIB, MINUTE, SECOND


def _file(folder: Path, text: str) -> str:
    path = folder / "steplane.toml"
    path.write_text(text)
    return str(path)


def _problems(flags: dict[str, object], environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ or {})
    return caught.value.problems


def test_defaults_are_a_configuration_without_problems() -> None:
    """Nothing has to be set."""
    loaded = load({}, {})

    assert loaded.config == Config()
    assert set(loaded.sources.values()) == {"default"}


def test_the_first_of_flag_environment_and_file_counts(tmp_path: Path) -> None:
    """A flag is before the environment, which is before the file, which is before the default; each setting by itself."""
    path = _file(tmp_path, 'session_timeout = "1m"\nsession_grace = "2m"\nretention = "30d"\n')
    environ = {"STEPLANE_SESSION_TIMEOUT": "3m", "STEPLANE_SESSION_GRACE": "4m", "STEPLANE_CONFIG": path}

    config, sources = load({"session_timeout": "5m"}, environ)

    assert config.session_timeout == 5 * MINUTE
    assert config.session_grace == 4 * MINUTE
    assert config.retention == 30 * 24 * HOUR
    assert sources["session_timeout"] == "--session-timeout"
    assert sources["session_grace"] == "STEPLANE_SESSION_GRACE"
    assert sources["retention"] == f"retention in {path}"
    assert sources["db"] == "default"


def test_the_flag_names_the_file_before_the_environment(tmp_path: Path) -> None:
    """One file is read: that of --config, if it is given."""
    path = _file(tmp_path, "listen = '[::1]:0'")

    config, _ = load({"config": path}, {"STEPLANE_CONFIG": "/nowhere.toml"})

    assert config.listen == Address("::1", 0)


def test_an_empty_variable_counts_as_none() -> None:
    """`STEPLANE_DB=` sets nothing."""
    assert load({}, {"STEPLANE_DB": "", "STEPLANE_CONFIG": ""}).config == Config()


def test_other_variables_are_left_alone() -> None:
    """Clients and SDKs have variables of the same prefix."""
    assert load({}, {"STEPLANE_ADDRESS": "elsewhere:1", "HOME": "/"}).config == Config()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Each names its source and a remedy, and one problem hides no other."""
    path = _file(tmp_path, 'retension = "1d"\nlog_level = "loud"\nrun_steps_max = true\n')
    flags: dict[str, object] = {"config": path, "session_timeout": "soon", "listen": "0.0.0.0:7100"}

    problems = _problems(flags, {"STEPLANE_EVENT_BYTES_MAX": "5MiB"})

    assert [
        f"{path}: there is no setting 'retension'; did you mean 'retention'?",
        '--session-timeout: "soon" is no DURATION. Write for example 24h, 1h30m, 500ms, or a number of seconds.',
        f'log_level in {path}: "loud" is no debug|info|warning|error. Write one of debug, info, warning, error.',
        f"run_steps_max in {path}: true is no COUNT. Write a whole number.",
    ] == problems[:4]
    assert "--listen: 0.0.0.0:7100" in problems[4]
    assert (
        problems[5]
        == "event_bytes_max must not be above batch_bytes_max (STEPLANE_EVENT_BYTES_MAX: 5MiB, batch_bytes_max by default: 4MiB)"
    )
    assert len(problems) == 6


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "can't be read: No such file or directory"), ("db = ", "is not TOML"), (b"\xff", "is not TOML")],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, text: str | bytes | None, told: str) -> None:
    """It is told together with all others."""
    path = tmp_path / "steplane.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    problems = _problems({"config": str(path), "db": " "})

    assert problems[0].startswith(f"--config: {path} {told}")
    assert problems[1].startswith("--db:")
    assert len(problems) == 2


def test_print_config_can_be_read_again(tmp_path: Path) -> None:
    """What --print-config shows is a file that gives the same configuration."""
    flags = {"retention": "off", "listen": "[::1]:0", "event_bytes_max": "1000", "reflection": False, "db": 'odd "db"'}
    loaded = load(flags, {"STEPLANE_LOG_FORMAT": "json", "STEPLANE_SESSION_GRACE": "1.5"})

    again = load({"config": _file(tmp_path, loaded.toml())}, {})

    assert again.config == loaded.config
    assert 'retention = "off"  # --retention\n' in loaded.toml()
    assert 'session_grace = "1500ms"  # STEPLANE_SESSION_GRACE\n' in loaded.toml()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_default_can_be_written(setting: Setting) -> None:
    """The text that help shows for a default is read as that default, from a flag and from the environment."""
    if setting.default is None:
        return
    text = setting.show(setting.default)

    assert getattr(load({setting.name: text}, {}).config, setting.name) == setting.default
    assert getattr(load({}, {setting.variable: text}).config, setting.name) == setting.default


def test_the_engine_gets_its_piece() -> None:
    """Every limit and duration of the engine is the configured one."""
    config = Config(event_bytes_max=1 * MIB, session_grace=7 * SECOND, dedupe_window=1 * HOUR)

    assert config.settings.limits.event_bytes_max == 1 * MIB
    assert config.settings.session_grace == 7 * SECOND
    assert config.settings.dedupe_window == 1 * HOUR
