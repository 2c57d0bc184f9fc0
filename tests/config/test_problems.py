"""What must hold between settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.config import SETTINGS, Address, Config
from controlplane.config.reference import reference
from controlplane.core.limits import DAY, HOUR, SECOND

TLS = Path(__file__).parents[1] / "app" / "tls"


def _found(config: Config) -> list[tuple[str, ...]]:
    return [problem.settings for problem in config.problems()]


def test_plaintext_is_for_this_machine_only() -> None:
    """Without TLS nothing but loopback is listened on, unless that is asked for; the reason and the ways out are told."""
    everywhere = Address("0.0.0.0", 7100)

    (problem,) = Config(listen=everywhere).problems()

    assert problem.settings == ("listen",)
    assert "without TLS" in problem.text
    assert "--allow-plaintext" in problem.text
    assert _found(Config(listen=everywhere, allow_plaintext=True)) == []
    assert _found(Config(listen=Address("::1", 7100))) == []
    assert _found(Config(http_listen=everywhere)) == [("http_listen",)]
    assert _found(Config(http_listen=everywhere, allow_plaintext=True)) == []


def test_tls_is_whole_or_absent() -> None:
    """A certificate goes with its key, and the check of clients goes with both; with them any address will do."""
    cert, key, ca = TLS / "server.pem", TLS / "server.key", TLS / "ca.pem"

    assert _found(Config(tls_cert=cert)) == [("tls_cert", "tls_key")]
    assert _found(Config(tls_key=key)) == [("tls_cert", "tls_key")]
    assert _found(Config(tls_client_ca=ca)) == [("tls_client_ca", "tls_cert")]
    assert _found(Config(tls_cert=cert, tls_key=key, tls_client_ca=ca, listen=Address("0.0.0.0", 7100))) == []


def test_tls_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    """A key of another certificate, or a file that is no PEM, is told at the start and not to each client."""
    cert, key = TLS / "server.pem", TLS / "server.key"
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")

    assert _found(Config(tls_cert=cert, tls_key=TLS / "client.key")) == [("tls_cert", "tls_key")]
    assert _found(Config(tls_cert=rubbish, tls_key=key)) == [("tls_cert", "tls_key")]
    assert _found(Config(tls_cert=cert, tls_key=key, tls_client_ca=rubbish)) == [("tls_client_ca",)]
    assert _found(Config(tls_cert=cert, tls_key=tmp_path)) == [("tls_key",)]


def test_files_must_be_where_they_are_said_to_be(tmp_path: Path) -> None:
    """A file of TLS must be there; of what is written, the directory."""
    gone = tmp_path / "gone"

    assert _found(Config(tls_cert=gone, tls_key=gone)) == [("tls_cert",), ("tls_key",)]
    assert _found(Config(db=gone / "steplane.db", ready_file=gone / "ready")) == [("db",), ("ready_file",)]
    assert _found(Config(db=tmp_path)) == [("db",)]
    assert _found(Config(db=gone, ready_file=gone)) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Config(heartbeat_interval=15 * SECOND, session_timeout=30 * SECOND), []),
        (
            Config(heartbeat_interval=15 * SECOND + 1, session_timeout=30 * SECOND),
            [("heartbeat_interval", "session_timeout")],
        ),
        (Config(session_grace=0), [("session_grace",)]),
        (Config(dedupe_window=1 * DAY, retention=1 * DAY), []),
        (Config(dedupe_window=1 * DAY + 1, retention=1 * DAY), [("dedupe_window", "retention")]),
        (Config(dedupe_window=400 * DAY, retention=0), []),
        (Config(dedupe_window=0, retention=1 * HOUR), []),
        (Config(run_steps_max=10_001), [("run_steps_max",)]),
        (Config(run_steps_max=0), [("run_steps_max",)]),
        (Config(frame_bytes_max=64 * 2**20 + 1), [("frame_bytes_max", "mailbox_bytes_max")]),
    ],
)
def test_durations_and_limits_fit_each_other(config: Config, expected: list[tuple[str, ...]]) -> None:
    """Each rule is kept at its edge, and broken one beyond it; a problem names the settings that it is about."""
    assert sorted(expected) == sorted(_found(config))


def test_every_setting_is_in_the_reference() -> None:
    """The page has a row for each setting, with its default and meaning."""
    page = reference()

    for setting in SETTINGS:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{setting.name}` |"))
        assert setting.doc in row
        assert setting.default is None or f"`{setting.show(setting.default)}`" in row


def test_the_reference_page_is_current() -> None:
    """`python -m controlplane.config.reference > docs/reference/settings.md` makes it anew."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"

    assert page.read_text() == reference()
