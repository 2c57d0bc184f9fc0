"""What the documentation shows is true: its programs run, its commands print that, its links lead somewhere."""

from __future__ import annotations

import asyncio
import queue
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import steplane
from controlplane.app import App, running
from controlplane.cli import main
from controlplane.config import Address, Config
from tests.repo.page import PAGES, ROOT, Program, blocks, is_like

PROGRAMS = [path for path in PAGES if blocks(path, "python", "console")]
WEBHOOKS = ROOT / "docs" / "guides" / "webhooks.md"
COMMAND = re.compile(r"""^(?:\$ )?steplane +((?:'[^'\n]*'|"[^"\n]*"|[^|<>#'"\n])*)""", re.MULTILINE)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[App]:
    """A server of its own, which runs in a thread."""
    started: queue.Queue[tuple[App, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()
    free = Address("127.0.0.1", 0)

    async def serve() -> None:
        stop = asyncio.Event()
        async with running(Config(db=tmp_path / "steplane.db", listen=free, http_listen=free)) as app:
            started.put((app, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    app, loop, stop = started.get(timeout=20)
    yield app
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)


@pytest.mark.parametrize("path", PROGRAMS, ids=_name)
async def test_a_page_is_a_program_that_runs(path: Path, server: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of a page runs, the server takes all of its functions, and its commands print what it shows."""
    if path == WEBHOOKS and shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    monkeypatch.setenv("STEPLANE_ADDRESS", str(server.address))
    monkeypatch.setenv("TZ", "UTC")

    async with Program(path, str(server.address), server.http_url) as program:
        for block in blocks(path, "python", "console"):
            await program.run(block)
        await program.serve()


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_commands_are_ones_that_there_are(path: Path) -> None:
    """Every `steplane …` line of a page names a command, and options, that exist."""
    for block in blocks(path, "bash", "console", "text"):
        for match in COMMAND.finditer(block.text):
            name, *arguments = shlex.split(match[1])
            if name.startswith("-"):
                continue
            command = main.commands[name]
            if isinstance(command, click.Group):
                name, *arguments = arguments
                command = command.commands[name]
            with click.Context(main, info_name="steplane") as parent:
                command.make_context(name, arguments, parent=parent)


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every link to a file of the project leads to one, and to a heading that is there."""
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            missing.append(target)

    assert missing == []


def test_every_page_can_be_found() -> None:
    """The page that lists all pages lists each of them."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md") if "design" not in path.parts]

    assert [str(page) for page in pages if f"]({page})" not in index and page.name != "README.md"] == []


def test_every_error_is_documented() -> None:
    """The page of errors names each error that the SDK raises, and each reason that the server gives."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    server = "".join(path.read_text() for path in (ROOT / "controlplane").rglob("*.py") if "gen" not in path.parts)
    reasons = set(re.findall(r'(?:reason ?= ?|_reject\(\s*report,\s*|_Wrong\(\s*)"([A-Z_]+)"', server))
    errors = {name for name in steplane.__all__ if name.endswith("Error")}

    assert sorted(name for name in reasons | errors if f"`{name}`" not in page) == []


def test_what_is_left_out_is_anything() -> None:
    """`…` stands for anything in a line, and a line of it for any lines; nothing else is forgiven."""
    assert is_like("run 17  completed\n", "run …  completed")
    assert is_like("a\nb\nc\n", "a\n…\nc")
    assert not is_like("run 17  failed\n", "run …  completed")
    assert not is_like("a\nb\n", "a")


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
