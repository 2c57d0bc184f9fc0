"""Shows cases and their results: as tables for people, or as lines of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
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


def play(worker: str, played: Sequence[Case], *, as_json: bool) -> int:
    """Play the cases and show their results; returns how many failed."""
    if as_json:
        results = asyncio.run(_play(worker, played, _print_json))
    else:
        # What moves is for the terminal only; the table can go into a file.
        with Progress(
            TextColumn("playing"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True), transient=True
        ) as progress:
            task = progress.add_task("", total=len(played))
            results = asyncio.run(_play(worker, played, lambda _: progress.advance(task)))
        _print_table(results)
    return sum(1 for result in results if result.problems)


async def _play(worker: str, played: Sequence[Case], tell: Callable[[Result], None]) -> list[Result]:
    """All results, in the order of the cases; each is told as it comes."""
    results: dict[str, Result] = {}
    async for result in play_cases(worker, played):
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
    for result in results:
        if result.problems:
            console.print(Text(f"✘ {result.case.name}", "bold red"), Text(result.case.proves, "dim"))
            for problem in result.problems:
                console.print(Text(f"    {problem}".replace("\n", "\n    ")), soft_wrap=True)
    passed = sum(1 for result in results if not result.problems)
    console.print(f"{passed} of {len(results)} cases passed")


def _with_last_of_subject(listed: Sequence[Case]) -> list[tuple[Case, bool]]:
    following = [*listed[1:], None]
    return [
        (case, after is None or after.subject != case.subject) for case, after in zip(listed, following, strict=True)
    ]
