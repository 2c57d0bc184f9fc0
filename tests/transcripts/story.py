"""Reads a story, plays it on a store, and tells it again with what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from controlplane.core.limits import Limits
from controlplane.engine.commands import Command, Connect, SubmitReports
from controlplane.engine.settings import Settings
from controlplane.engine.turn import Turn
from controlplane.store.interface import RunFilter, Store
from tests.transcripts.driver import Driver, Stream
from tests.transcripts.language import Line, parse, settings_of
from tests.transcripts.names import Names, duration, told_moment
from tests.transcripts.telling import Teller

_RULE = "----"


@dataclass
class Block:
    """What is done at once, the comment above it, and what happened last time."""

    comments: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def read(text: str) -> list[Block]:
    """The blocks of a story."""
    blocks = []
    for part in text.strip().split("\n\n"):
        lines = part.splitlines()
        told = lines.index(_RULE) if _RULE in lines else len(lines)
        comments = [line for line in lines[:told] if line.startswith("#")]
        blocks.append(Block(comments, [line for line in lines[:told] if not line.startswith("#")]))
    return blocks


def play(text: str, store: Store) -> str:
    """The story, with what happens on this store."""
    blocks = read(text)
    player = _Player(store, _settings(blocks))
    parts = []
    for block in blocks:
        lines = [*block.comments, *block.commands]
        if block.commands and not block.commands[0].startswith("settings"):
            lines += [_RULE, *(list(player.play(block.commands)) or ["nothing"])]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _settings(blocks: list[Block]) -> Settings:
    for block in blocks:
        if block.commands and block.commands[0].startswith("settings"):
            limits, durations = settings_of(Line(block.commands[0]))
            return Settings(limits=Limits(**limits), **durations)
    return Settings()


class _Player:
    """Plays blocks: those of commands make one turn each."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._driver = Driver(store, settings=settings)
        self._names = Names()
        self._teller = Teller(self._names)
        self._streams: dict[str, Stream] = {}

    def play(self, lines: list[str]) -> Iterator[str]:
        """Do a block, and tell what happened."""
        first = Line(lines[0])
        match first.verb:
            case "wait":
                is_silent = first.flag("silently")
                yield from self._wait(duration(first.word()), is_silent=is_silent)
            case "jump":
                self._driver.now += duration(first.word())
                yield f"it is {told_moment(self._driver.now)}"
            case "restart":
                self._driver.restart()
                self._streams.clear()
                yield "ok"
            case "crash":
                self._driver.crash(*(parse(Line(line), self._names) for line in lines[1:]))
                self._streams.clear()
                yield "ok"
            case "show":
                yield from self._show(first.word())
            case _:
                yield from self._turn(_merged([parse(Line(line), self._names) for line in lines]))

    def _turn(self, commands: list[Command]) -> Iterator[str]:
        turns = self._driver.take(*commands)
        yield from self._tell(commands, turns)

    def _tell(self, commands: list[Command], turns: list[Turn]) -> Iterator[str]:
        for command, answer in zip(commands, turns[0].answers, strict=True):
            if isinstance(command, Connect) and not isinstance(answer, Exception):
                assert isinstance(command.outbox, Stream)
                self._streams[answer.session_id] = command.outbox
        for index, turn in enumerate(turns):
            yield from self._teller.tell(commands if index == 0 else [], turn)
        for session_id, stream in self._streams.items():
            yield from self._teller.deliveries(session_id, stream.deliveries)
            stream.deliveries.clear()

    def _wait(self, length: int, *, is_silent: bool) -> Iterator[str]:
        driver = self._driver
        end = driver.now + length
        if not is_silent:
            self._beat()
        while (moment := driver.next_moment()) is not None and moment <= end:
            driver.now = max(driver.now, moment)
            if not is_silent:
                self._beat()
            lines = list(self._tell_time())
            if lines:
                yield f"at {told_moment(driver.now)}:"
                yield from (f"  {line}" for line in lines)
        driver.now = end
        if not is_silent:
            self._beat()
        yield f"it is {told_moment(end)}"

    def _beat(self) -> None:
        """Heartbeats that nobody needs to read of."""
        self._driver.beat()
        for stream in self._streams.values():
            assert all(delivery.heartbeat_stop == [] for delivery in stream.deliveries)
            stream.deliveries.clear()

    def _tell_time(self) -> Iterator[str]:
        turns = self._driver.pass_time()
        for turn in turns:
            turn.answers = []
        yield from self._tell([], turns)

    def _show(self, what: str) -> Iterator[str]:
        functions = self._driver.memory.functions.by_key
        with self._driver.store.read() as reader:
            if what == "runs":
                found = reader.list_runs(RunFilter("default"), before_id="", limit=100)
                yield from sorted(self._teller.run(view.run, functions) for view in found)
            else:
                journal = reader.list_journal(self._names.long(what), after=0, limit=100, bytes_max=1 << 30)
                yield from (self._teller.entry(entry) for _, entry in journal)


def _merged(commands: list[Command]) -> list[Command]:
    """Reports of one session that follow each other come in one frame."""
    merged: list[Command] = []
    for command in commands:
        before = merged[-1] if merged else None
        if (
            isinstance(command, SubmitReports)
            and isinstance(before, SubmitReports)
            and before.session_id == command.session_id
        ):
            merged[-1] = SubmitReports(
                session_id=before.session_id,
                namespace=before.namespace,
                reports=before.reports + command.reports,
                size=before.size + command.size,
            )
        else:
            merged.append(command)
    return merged
