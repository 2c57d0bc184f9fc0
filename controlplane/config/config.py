"""Every setting: its name, default, unit and meaning in one place, and what must hold between them.

`--session-timeout`, `STEPLANE_SESSION_TIMEOUT` and `session_timeout` in the file are one setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

from controlplane.config.values import (
    ADDRESS,
    COUNT,
    DURATION,
    DURATION_OR_OFF,
    FAILPOINT,
    PATH,
    SIZE,
    SWITCH,
    Address,
    Failpoint,
    Kind,
    choice,
)
from controlplane.core.limits import DAY, SECOND, Limits
from controlplane.engine.settings import Settings


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


def _about(kind: Kind[Any], doc: str) -> dict[str, Any]:
    return {"kind": kind, "doc": doc}


_LIMITS: Final = Limits()
_SETTINGS: Final = Settings()


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings. Durations in microseconds, sizes in bytes."""

    db: Path = field(
        default=Path("steplane.db"),
        metadata=_about(PATH, "The SQLite file; it is made if it is not there."),
    )
    synchronous: str = field(
        default="full",
        metadata=_about(
            choice("full", "normal"),
            "When a commit counts: full once it is on disk; normal is faster, but may lose the newest commits with the power.",
        ),
    )
    listen: Address = field(
        default=Address("127.0.0.1", 7100),
        metadata=_about(ADDRESS, "Where to take calls. Port 0 takes one that is free; --ready-file tells it."),
    )
    http_listen: Address | None = field(
        default=None,
        metadata=_about(
            ADDRESS,
            "Where to take events over HTTP too, for those that can't speak gRPC; nowhere if not set. Port 0 as for listen.",
        ),
    )
    allow_plaintext: bool = field(
        default=False,
        metadata=_about(SWITCH, "Take calls without TLS from other machines too: only where the network is trusted."),
    )
    tls_cert: Path | None = field(
        default=None,
        metadata=_about(PATH, "The server's certificate chain (PEM); turns TLS on."),
    )
    tls_key: Path | None = field(
        default=None,
        metadata=_about(PATH, "The private key of the certificate (PEM)."),
    )
    tls_client_ca: Path | None = field(
        default=None,
        metadata=_about(PATH, "Refuse clients whose certificate this authority (PEM) did not sign."),
    )
    reflection: bool = field(
        default=True,
        metadata=_about(SWITCH, "Tell clients such as grpcurl which services there are."),
    )
    ready_file: Path | None = field(
        default=None,
        metadata=_about(
            PATH,
            "Written with the address once calls are taken (and below it the URL of http_listen, if that is set), and "
            "deleted at the end: for scripts to wait for.",
        ),
    )
    retention: int = field(
        default=7 * DAY,
        metadata=_about(DURATION_OR_OFF, "How long ended runs and old events are kept; off keeps them for ever."),
    )
    dedupe_window: int = field(
        default=_SETTINGS.dedupe_window,
        metadata=_about(DURATION, "For how long the id of an event makes no second event."),
    )
    heartbeat_interval: int = field(
        default=_SETTINGS.heartbeat_interval,
        metadata=_about(DURATION, "How often a worker is told to send a sign of life."),
    )
    session_timeout: int = field(
        default=_SETTINGS.session_timeout,
        metadata=_about(DURATION, "A worker that was silent for so long loses its runs to others."),
    )
    session_grace: int = field(
        default=_SETTINGS.session_grace,
        metadata=_about(DURATION, "A worker that lost its connection loses its runs to others after so long."),
    )
    drain_timeout: int = field(
        default=10 * SECOND,
        metadata=_about(
            DURATION, "How long a server that is told to stop lets workers finish the steps that they are at."
        ),
    )
    log_level: str = field(
        default="info",
        metadata=_about(choice("debug", "info", "warning", "error"), "The least that is worth a line."),
    )
    log_format: str = field(
        default="auto",
        metadata=_about(
            choice("auto", "console", "json"), "For people, or for programs; auto: for people on a terminal."
        ),
    )
    event_bytes_max: int = field(
        default=_LIMITS.event_bytes_max,
        metadata=_about(SIZE, "The data of one event."),
    )
    batch_events_max: int = field(
        default=_LIMITS.batch_events_max,
        metadata=_about(COUNT, "Events in one call or step."),
    )
    batch_bytes_max: int = field(
        default=_LIMITS.batch_bytes_max,
        metadata=_about(SIZE, "All events of one call or step."),
    )
    step_output_bytes_max: int = field(
        default=_LIMITS.step_output_bytes_max,
        metadata=_about(SIZE, "The output of one step, or of a run."),
    )
    journal_bytes_max: int = field(
        default=_LIMITS.journal_bytes_max,
        metadata=_about(SIZE, "All recorded steps of one run."),
    )
    run_steps_max: int = field(
        default=_LIMITS.run_steps_max,
        metadata=_about(COUNT, "Steps of one run; 10,000 at most."),
    )
    lineage_depth_max: int = field(
        default=_LIMITS.lineage_depth_max,
        metadata=_about(
            COUNT, "Events one after the other in a lineage; stops functions that start each other for ever."
        ),
    )
    deliveries_max: int = field(
        default=_LIMITS.deliveries_max,
        metadata=_about(COUNT, "Workers that may be lost with a run, one after the other, before it is set aside."),
    )
    frame_bytes_max: int = field(
        default=_LIMITS.frame_bytes_max,
        metadata=_about(SIZE, "One gRPC message."),
    )
    mailbox_commands_max: int = field(
        default=_LIMITS.mailbox_commands_max,
        metadata=_about(COUNT, "Commands that wait to be written; callers are refused beyond it."),
    )
    mailbox_bytes_max: int = field(
        default=_LIMITS.mailbox_bytes_max,
        metadata=_about(SIZE, "Bytes of the commands that wait to be written."),
    )
    failpoint: Failpoint | None = field(
        default=None,
        metadata=_about(
            FAILPOINT, "For crash tests: NAME:N kills the server the Nth time that it passes the point of that name."
        ),
    )

    @property
    def limits(self) -> Limits:
        """What is too large, for the engine and for workers."""
        return Limits(**{one.name: getattr(self, one.name) for one in fields(Limits)})

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
        return [*self._durations(), *self._files(), *self._tls(), *self._exposure(), *self._limit_problems()]

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
        if self.ready_file is not None and not self.ready_file.parent.is_dir():
            yield Problem(("ready_file",), f"there is no directory {self.ready_file.parent}; make it first")

    def _tls(self) -> Iterator[Problem]:
        gone = False
        for name in ("tls_cert", "tls_key", "tls_client_ca"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                gone = True
                yield Problem((name,), f"there is no file {path}")
        if (self.tls_cert is None) != (self.tls_key is None):
            yield Problem(("tls_cert", "tls_key"), "tls_cert and tls_key go together; set both or none")
        elif self.tls_client_ca is not None and self.tls_cert is None:
            yield Problem(("tls_client_ca", "tls_cert"), "tls_client_ca needs TLS; set tls_cert and tls_key too")
        elif self.tls_cert is not None and self.tls_key is not None and not gone:
            yield from self._certificates(self.tls_cert, self.tls_key)

    def _certificates(self, cert: Path, key: Path) -> Iterator[Problem]:
        """Ask OpenSSL: gRPC would start all the same, and refuse each connection without a word."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(cert, key, password=lambda: b"")
        except OSError as error:
            yield Problem(
                ("tls_cert", "tls_key"),
                "tls_cert must be a certificate chain in PEM, and tls_key its private key without a password: "
                f"{_why(error)}",
            )
        try:
            if self.tls_client_ca is not None:
                context.load_verify_locations(self.tls_client_ca)
        except OSError as error:
            yield Problem(("tls_client_ca",), f"tls_client_ca must hold certificates in PEM: {_why(error)}")

    def _exposure(self) -> Iterator[Problem]:
        if self.tls_cert is not None or self.allow_plaintext:
            return
        for name in ("listen", "http_listen"):
            address: Address | None = getattr(self, name)
            if address is not None and not address.is_loopback:
                yield Problem(
                    (name,),
                    f"{address.host} can be reached from other machines, and without TLS anybody there can read and send "
                    "everything. Set tls_cert and tls_key, or listen on 127.0.0.1, or accept it with --allow-plaintext",
                )

    def _limit_problems(self) -> Iterator[Problem]:
        names = [one.name for one in fields(Limits)]
        for text in self.limits.problems():
            yield Problem(tuple(name for name in names if name in text.split()), text)


def _why(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)


SETTINGS: Final = tuple(
    Setting(one.name, one.default, one.metadata["kind"], one.metadata["doc"]) for one in fields(Config)
)
