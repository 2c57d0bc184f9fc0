"""Every setting: its name, default, unit and meaning in one place, and what must hold between them.

`--session-timeout`, `STEPLANE_SESSION_TIMEOUT` and `session_timeout` in the file are one setting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from controlplane.config.values import (
    ADDRESS,
    COUNT,
    DURATION,
    DURATION_OR_OFF,
    PATH,
    SIZE,
    SWITCH,
    TEXT,
    Address,
    Kind,
    choice,
)
from controlplane.core.limits import DAY, SECOND, Limits
from controlplane.engine.settings import Settings

T = TypeVar("T")
D = TypeVar("D")


class Setting(NamedTuple):
    """One field of the configuration."""

    name: str
    default: Any
    kind: Kind[Any]
    doc: str

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return "STEPLANE_" + self.name.upper()

    def show(self, value: Any) -> str:
        """A value of it as it is written."""
        return "" if value is None else self.kind.show(value)


class Problem(NamedTuple):
    """What is wrong between settings."""

    settings: tuple[str, ...]
    text: str


def _setting(kind: Kind[T], default: D, doc: str) -> T | D:
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


_LIMITS: Final = Limits()
_SETTINGS: Final = Settings()


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings. Durations in microseconds, sizes in bytes."""

    db: Path = _setting(PATH, Path("steplane.db"), "The SQLite file; it is made if it is not there.")
    synchronous: str = _setting(
        choice("full", "normal"),
        "full",
        "When a commit counts: full once it is on disk; normal is faster, but may lose the newest commits with the power.",
    )
    listen: Address = _setting(
        ADDRESS, Address("127.0.0.1", 7100), "Where to take calls. Port 0 takes one that is free; --ready-file tells it."
    )
    allow_plaintext: bool = _setting(
        SWITCH, default=False, doc="Take calls without TLS from other machines too: only where the network is trusted."
    )
    tls_cert: Path | None = _setting(PATH, None, "The server's certificate chain (PEM); turns TLS on.")
    tls_key: Path | None = _setting(PATH, None, "The private key of the certificate (PEM).")
    tls_client_ca: Path | None = _setting(
        PATH, None, "Refuse clients whose certificate this authority (PEM) did not sign."
    )
    reflection: bool = _setting(SWITCH, default=True, doc="Tell clients such as grpcurl which services there are.")
    ready_file: Path | None = _setting(
        PATH, None, "Written with the address once calls are taken, and deleted at the end: for scripts to wait for."
    )
    retention: int = _setting(
        DURATION_OR_OFF, 7 * DAY, "How long ended runs and old events are kept; off keeps them for ever."
    )
    dedupe_window: int = _setting(
        DURATION, _SETTINGS.dedupe_window, "For how long the id of an event makes no second event."
    )
    heartbeat_interval: int = _setting(
        DURATION, _SETTINGS.heartbeat_interval, "How often a worker is told to send a sign of life."
    )
    session_timeout: int = _setting(
        DURATION, _SETTINGS.session_timeout, "A worker that was silent for so long loses its runs to others."
    )
    session_grace: int = _setting(
        DURATION, _SETTINGS.session_grace, "A worker that lost its connection loses its runs to others after so long."
    )
    drain_timeout: int = _setting(
        DURATION, 10 * SECOND, "How long a server that is told to stop lets workers finish the steps that they are at."
    )
    log_level: str = _setting(choice("debug", "info", "warning", "error"), "info", "The least that is worth a line.")
    log_format: str = _setting(
        choice("auto", "console", "json"), "auto", "For people, or for programs; auto: for people on a terminal."
    )
    event_bytes_max: int = _setting(SIZE, _LIMITS.event_bytes_max, "The data of one event.")
    batch_events_max: int = _setting(COUNT, _LIMITS.batch_events_max, "Events in one call or step.")
    batch_bytes_max: int = _setting(SIZE, _LIMITS.batch_bytes_max, "All events of one call or step.")
    step_output_bytes_max: int = _setting(SIZE, _LIMITS.step_output_bytes_max, "The output of one step, or of a run.")
    journal_bytes_max: int = _setting(SIZE, _LIMITS.journal_bytes_max, "All recorded steps of one run.")
    run_steps_max: int = _setting(COUNT, _LIMITS.run_steps_max, "Steps of one run; 10,000 at most.")
    frame_bytes_max: int = _setting(SIZE, _LIMITS.frame_bytes_max, "One gRPC message.")
    mailbox_commands_max: int = _setting(
        COUNT, _LIMITS.mailbox_commands_max, "Commands that wait to be written; callers are refused beyond it."
    )
    mailbox_bytes_max: int = _setting(SIZE, _LIMITS.mailbox_bytes_max, "Bytes of the commands that wait to be written.")
    failpoint: str | None = _setting(
        TEXT, None, "For crash tests: NAME:N kills the server the Nth time that it passes the point of that name."
    )

    @property
    def limits(self) -> Limits:
        """What is too large, for the engine and for workers."""
        return Limits(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Limits)})

    @property
    def settings(self) -> Settings:
        """The engine's piece."""
        return Settings(
            limits=self.limits,
            dedupe_window=self.dedupe_window,
            heartbeat_interval=self.heartbeat_interval,
            session_timeout=self.session_timeout,
            session_grace=self.session_grace,
        )

    def problems(self) -> list[Problem]:
        """All that is wrong with it as a whole; empty if nothing is."""
        return [*self._durations(), *self._files(), *self._exposure(), *self._limit_problems()]

    def _durations(self) -> Iterator[Problem]:
        for name in ("heartbeat_interval", "session_timeout", "session_grace"):
            if getattr(self, name) <= 0:
                yield Problem((name,), f"{name} must be longer than nothing")
        if self.heartbeat_interval * 2 > self.session_timeout:
            yield Problem(
                ("heartbeat_interval", "session_timeout"),
                "heartbeat_interval must be at most half of session_timeout, or one late heartbeat costs a worker its runs",
            )
        if 0 < self.retention < self.dedupe_window:
            yield Problem(
                ("dedupe_window", "retention"),
                "dedupe_window must not be longer than retention: the ids of deleted events are forgotten",
            )

    def _files(self) -> Iterator[Problem]:
        if self.db.is_dir():
            yield Problem(("db",), f"db names a directory; name a file in it: {self.db / 'steplane.db'}")
        elif not self.db.parent.is_dir():
            yield Problem(("db",), f"there is no directory {self.db.parent}; make it first")
        for name in ("tls_cert", "tls_key", "tls_client_ca"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                yield Problem((name,), f"there is no file {path}")
        if self.ready_file is not None and not self.ready_file.parent.is_dir():
            yield Problem(("ready_file",), f"there is no directory {self.ready_file.parent}; make it first")

    def _exposure(self) -> Iterator[Problem]:
        if (self.tls_cert is None) != (self.tls_key is None):
            yield Problem(("tls_cert", "tls_key"), "tls_cert and tls_key go together; set both or none")
        if self.tls_client_ca is not None and self.tls_cert is None:
            yield Problem(("tls_client_ca", "tls_cert"), "tls_client_ca needs TLS; set tls_cert and tls_key too")
        if self.tls_cert is None and not self.listen.is_loopback and not self.allow_plaintext:
            yield Problem(
                ("listen",),
                f"{self.listen.host} can be reached from other machines, and without TLS anybody there can read and send "
                "everything. Set tls_cert and tls_key, or listen on 127.0.0.1, or accept it with --allow-plaintext",
            )

    def _limit_problems(self) -> Iterator[Problem]:
        names = [field.name for field in dataclasses.fields(Limits)]
        for text in self.limits.problems():
            yield Problem(tuple(name for name in names if name in text.split()), text)


SETTINGS: Final = tuple(
    Setting(field.name, field.default, field.metadata["kind"], field.metadata["doc"])
    for field in dataclasses.fields(Config)
)
