"""Where client commands are tested: a real server, and a shell that asks it."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from typing import Any

import click
from click.testing import CliRunner, Result

from controlplane.app import running
from controlplane.client_commands import COMMANDS
from controlplane.config import Config

STEPLANE = click.Group("steplane", commands={command.name or "": command for command in COMMANDS})


class Shell:
    """Runs client commands against one server."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, *arguments: str, exits: int = 0) -> Result:
        """What a command says; its output is no terminal."""
        result = CliRunner().invoke(STEPLANE, [*arguments, "--address", self.address])
        assert result.exit_code == exits, result.output
        return result

    def json(self, *arguments: str, exits: int = 0) -> list[Any]:
        """The objects that a command prints."""
        return [json.loads(line) for line in self(*arguments, exits=exits).stdout.splitlines()]


class Server:
    """A server in a thread with a loop of its own, until the block ends."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._started: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> str:
        self._thread.start()
        return self._started.result(30)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with running(self._config) as app:
                self._started.set_result(str(app.address))
                await self._stop.wait()
        except BaseException as error:
            self._started.set_exception(error)
            raise
