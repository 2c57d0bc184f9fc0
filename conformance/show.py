"""Shows cases and their results: as tables for people, or as lines of JSON."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from conformance.case import Case
from conformance.play import Result
from conformance.play import play as play_cases


def cases(listed: Sequence[Case], *, as_json: bool) -> None:
    """What each case proves."""
    if as_json:
        for case in listed:
            print(json.dumps({"case": case.name, "subject": case.subject, "proves": case.proves}))
        return
    table = Table("case", "proves", box=box.SIMPLE_HEAD, pad_edge=False)
    for case, is_last in _with_last_of_subject(listed):
        table.add_row(case.name, Text(case.proves), end_section=is_last)
    Console().print(table)


def play(worker: str, played: Sequence[Case], folder: Path, *, as_json: bool) -> int:
    """Play the cases and show their results; returns how many failed."""
    if as_json:
        results = _run(_play(worker, played, folder, _print_json))
    else:
        with _Progress(len(played)) as progress:
            results = _run(_play(worker, played, folder, progress.tell))
        _print_table(results)
        _print_problems(worker, results)
    return sum(1 for result in results if result.problems)


def _run(playing: Coroutine[Any, Any, list[Result]]) -> list[Result]:
    """SIGTERM is taken as Ctrl-C is: what was started is not left behind."""

    async def run() -> list[Result]:
        task = asyncio.ensure_future(playing)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


class _Progress:
    """How many have passed so far, of how many. It moves, so it is for a terminal only; the table can go into a file."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._passed = self._failed = 0
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(self._text(), total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, result: Result) -> None:
        """A case ended."""
        self._passed += not result.problems
        self._failed += bool(result.problems)
        self._bar.update(self._task, advance=1, description=self._text())

    def _text(self) -> str:
        failed = f", [red]{self._failed} failed[/red]" if self._failed else ""
        return f"{self._passed} of {self._total} cases passed{failed}"


async def _play(worker: str, played: Sequence[Case], folder: Path, tell: Callable[[Result], None]) -> list[Result]:
    """All results, in the order of the cases; each is told as it comes."""
    results: dict[str, Result] = {}
    async for result in play_cases(worker, played, folder):
        results[result.case.name] = result
        tell(result)
    return [results[case.name] for case in played]


def _print_json(result: Result) -> None:
    line = {
        "case": result.case.name,
        "subject": result.case.subject,
        "passed": not result.problems,
        "problems": list(result.problems),
        "seconds": round(result.seconds, 3),
    }
    print(json.dumps(line), flush=True)


def _print_table(results: Sequence[Result]) -> None:
    console, by_name = Console(), {result.case.name: result for result in results}
    table = Table("", "case", "subject", "seconds", box=box.SIMPLE_HEAD, pad_edge=False)
    for case, is_last in _with_last_of_subject([result.case for result in results]):
        result = by_name[case.name]
        mark = Text("✘ failed", "red") if result.problems else Text("✔ passed", "green")
        table.add_row(mark, case.name, Text(case.subject, "dim"), f"{result.seconds:.2f}", end_section=is_last)
    console.print(table)


def _print_problems(worker: str, results: Sequence[Result]) -> None:
    """What was seen instead of what was expected, and how to see it again."""
    console = Console()
    failed = [result for result in results if result.problems]
    for result in failed:
        console.print(Text(f"✘ {result.case.name}", "bold red"))
        console.print(Text(f"    {result.case.proves}", "dim"), soft_wrap=True)
        for problem in result.problems:
            console.print(Text(f"    {problem}".replace("\n", "\n    ")), soft_wrap=True)
        again = f"steplane conformance --worker {shlex.quote(worker)} --case {result.case.name} --keep DIR"
        console.print(Text(f"    again, with all logs and frames: {again}\n"), soft_wrap=True)
    console.print(f"{len(results) - len(failed)} of {len(results)} cases passed")


def _with_last_of_subject(listed: Sequence[Case]) -> list[tuple[Case, bool]]:
    following = [*listed[1:], None]
    return [
        (case, after is None or after.subject != case.subject) for case, after in zip(listed, following, strict=True)
    ]
