"""`make bench`: measures throughput, latency and memory, and writes them to RESULTS.md and results.json.

Server, worker and load are a process each. Every figure is the median of several rounds, as machines are noisy. The workers
of the other SDKs are measured in turn with the Python one, where node and go are installed; and so is, with
`--yardstick FOLDER`, the program `FOLDER/run PYTHON RUNS`, which prints one line of JSON.
`--scale 0.01` tries the harness with a hundredth of everything, and `--profile` tells where server and worker spend their
time instead; both write nothing.
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measures import Sizes, beside_flow_control, keyed, long_runs, memory, sleeping, two_step_runs, waiting
from benchmarks.sampling import profile_table, sampled
from benchmarks.stage import HERE, Figures, Stage, say
from benchmarks.workers import built


def main() -> None:
    """Measure, and write the results."""
    options = parse()
    sizes = Sizes().scaled(options.scale)
    if options.profile:
        profile(sizes)
        return
    results: dict[str, Any] = {}
    with built() as workers:
        rounds = [each_worker(sizes, workers, options.yardstick) for _ in counted(options.rounds)]
    for name in rounds[0]:
        results[name] = medians([each[name] for each in rounds])
    if options.yardstick:
        results["ratio_to_yardstick"] = {
            name: results["two_step_runs"][name] / value for name, value in results["yardstick"].items()
        }
    if not options.short:
        results["sleeping_runs"] = medians([sleeping(sizes) for _ in range(options.rounds)])
        results["long_runs"] = medians([long_runs(sizes) for _ in range(options.rounds)])
        results["waiting_runs"] = medians([waiting(sizes) for _ in range(options.rounds)])
        results["concurrency_with_keys"] = medians([keyed(sizes) for _ in range(options.rounds)])
        results["beside_flow_control"] = medians([beside_flow_control(sizes) for _ in range(options.rounds)])
        results["memory"] = memory(sizes)
    write(results, options)


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yardstick", type=Path, metavar="FOLDER", help="another program to measure beside")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--short", action="store_true", help="two-step runs only; nothing is written")
    parser.add_argument("--scale", type=float, default=1.0, help="measure so much of everything; nothing is written")
    parser.add_argument("--profile", action="store_true", help="tell where the time goes (needs py-spy)")
    return parser.parse_args()


def profile(sizes: Sizes) -> None:
    """Where server and worker spend their time under a load of two-step runs."""
    with Stage() as stage:
        stage.load("bench/two", sizes.runs)
        with sampled(stage.pids) as profiles:
            stage.load("bench/two", 2 * sizes.runs)
        for name, found in profiles.items():
            print("\n".join(profile_table(name, found)))


def counted(rounds: int) -> Iterator[int]:
    """So many rounds, told as they begin."""
    for number in range(1, rounds + 1):
        say(f"two-step runs, round {number} of {rounds}")
        yield number


def each_worker(sizes: Sizes, workers: Mapping[str, Sequence[str]], yardstick: Path | None) -> dict[str, Figures]:
    """Two-step runs with the Python worker, the others, and the yardstick, one after the other."""
    plain = two_step_runs(sizes)
    figures = {"two_step_runs": plain}
    for language, command in workers.items():
        say(f"the same with the {language} worker")
        found = two_step_runs(sizes, command)
        ratio = found["runs_per_second"] / plain["runs_per_second"]
        figures[f"{language}_worker"] = {**found, "ratio_to_python": ratio}
    if yardstick:
        say("the yardstick")
        command = [str(yardstick / "run"), sys.executable, str(sizes.runs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures["yardstick"] = json.loads(done.stdout.splitlines()[-1])
    return figures


def medians(rounds: list[Figures]) -> Figures:
    """The median of each figure."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def write(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Show the results, and keep them unless they are the short ones."""
    table = "\n".join(rows(results))
    print(table)
    if options.short or options.scale != 1:
        return
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    path = HERE / "RESULTS.md"
    head, _, tail = path.read_text().partition("<!-- figures -->\n") if path.exists() else ("", "", "")
    _, _, tail = tail.partition("<!-- end of figures -->")
    facts = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} processors shared by all processes, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version} (`synchronous=FULL`), "
        f"grpcio {version('grpcio')}; medians of {options.rounds} rounds.\n\n"
    )
    path.write_text(f"{head}<!-- figures -->\n{facts}{table}\n<!-- end of figures -->{tail}")


def rows(results: dict[str, Any]) -> Iterator[str]:
    """The results as a Markdown table."""
    yardstick, ratio = results.get("yardstick", {}), results.get("ratio_to_yardstick", {})
    yield "| what | figure |" + (" yardstick | ratio |" if yardstick else "")
    yield "| --- | ---: |" + (" ---: | ---: |" if yardstick else "")
    for group, figures in results.items():
        if figures is yardstick or figures is ratio:
            continue
        for name, value in figures.items():
            row = f"| {group.replace('_', ' ')}: {name.replace('_', ' ')} | {shown(value)} |"
            if yardstick:
                is_compared = name in yardstick and group == "two_step_runs"
                row += f" {shown(yardstick[name])} | {ratio[name]:.2f} |" if is_compared else " | |"
            yield row


def shown(value: float) -> str:
    """A figure for people."""
    return f"{value:,.{0 if abs(value) >= 100 else 2}f}"


if __name__ == "__main__":
    main()
