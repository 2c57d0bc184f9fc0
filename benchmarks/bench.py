"""`make bench`: measures throughput, latency and memory, and writes them to RESULTS.md and results.json.

Server, worker and load are a process each. Every figure is the median of several rounds, as machines are noisy; with
`--yardstick FOLDER` the program `FOLDER/run PYTHON RUNS`, which prints one line of JSON, is measured in turn with them.
`--scale 0.01` tries the harness with a hundredth of everything, and `--profile` tells where server and worker spend their
time instead; both write nothing.
"""

import argparse
import json
import os
import platform
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.sampling import profile_table, sampled

HERE = Path(__file__).parent
SLOTS = 500

Figures = dict[str, float]


class Sizes(NamedTuple):
    """How much of each is measured."""

    runs: int = 20_000
    latencies: int = 200
    sleepers: int = 100_000
    many_runs: int = 500_000
    steps: int = 20_000

    def scaled(self, scale: float) -> "Sizes":
        """A part of it; enough for one run of 1,000 steps, and for ten parts of the many runs."""
        runs, latencies, sleepers, many_runs, steps = (int(size * scale) for size in self)
        return Sizes(runs, max(latencies, 10), sleepers, max(many_runs, 10), max(steps, 1_000))


def main() -> None:
    """Measure, and write the results."""
    options = parse()
    sizes = Sizes().scaled(options.scale)
    if options.profile:
        profile(sizes)
        return
    results: dict[str, Any] = {}
    rounds: list[Figures] = []
    yardstick: list[Figures] = []
    for number in range(options.rounds):
        say(f"two-step runs, round {number + 1} of {options.rounds}")
        with Stage() as stage:
            rounds.append(stage.load("bench/two", sizes.runs, latencies=sizes.latencies))
        if options.yardstick:
            say("the yardstick")
            command = [str(options.yardstick / "run"), sys.executable, str(sizes.runs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            yardstick.append(json.loads(done.stdout.splitlines()[-1]))
    results["two_step_runs"] = medians(rounds)
    if yardstick:
        results["yardstick"] = medians(yardstick)
        results["ratio_to_yardstick"] = {
            name: results["two_step_runs"][name] / value for name, value in results["yardstick"].items()
        }
    if not options.short:
        results["sleeping_runs"] = medians([sleeping(sizes) for _ in range(options.rounds)])
        results["long_runs"] = medians([long_runs(sizes) for _ in range(options.rounds)])
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


def sleeping(sizes: Sizes) -> Figures:
    """What 100,000 sleeping runs cost: the speed of new runs before, with and after them, and the server's memory."""
    say(f"{sizes.sleepers:,} sleeping runs")
    with Stage() as stage:
        stage.load("bench/two", sizes.runs)
        before = [stage.load("bench/two", sizes.runs)["runs_per_second"] for _ in range(2)]
        memory_before = stage.server_mebibytes()
        parked = stage.load("bench/sleep", sizes.sleepers)["runs_per_second"]
        memory_with = stage.server_mebibytes()
        beside = [stage.load("bench/two", sizes.runs)["runs_per_second"] for _ in range(2)]
        return {
            "parked_per_second": parked,
            "new_runs_per_second_before": statistics.mean(before),
            "new_runs_per_second_beside": statistics.mean(beside),
            "slowdown": 1 - statistics.mean(beside) / statistics.mean(before),
            "server_mebibytes": memory_with - memory_before,
        }


def long_runs(sizes: Sizes) -> Figures:
    """What a step costs in runs of 1,000 steps, against runs of 10; as many at once in both."""
    say("runs of 10 and of 1,000 steps")
    with Stage(slots=20) as stage:
        stage.load("bench/many", sizes.steps // 10, i=10)
        short = stage.load("bench/many", sizes.steps // 10, i=10)["runs_per_second"] * 10
        long = stage.load("bench/many", sizes.steps // 1_000, i=1_000)["runs_per_second"] * 1_000
        return {"steps_per_second_of_10": short, "steps_per_second_of_1000": long, "cost_ratio": short / long}


def memory(sizes: Sizes) -> Figures:
    """The server's memory over 500,000 runs."""
    say(f"{sizes.many_runs:,} runs")
    with Stage() as stage:
        figures = {}
        part = sizes.many_runs // 10
        for done in range(part, 10 * part + 1, part):
            stage.load("bench/two", part)
            figures[f"server_mebibytes_after_{done}"] = stage.server_mebibytes()
        return figures


class Stage:
    """A server with a fresh file, a worker, and a load generator."""

    def __init__(self, *, slots: int = SLOTS) -> None:
        self._slots = slots
        self._processes: list[subprocess.Popen[str]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="steplane-bench-")

    def __enter__(self) -> "Stage":
        """Start all three."""
        folder = Path(self._folder.name)
        ready, database = folder / "address", folder / "steplane.db"
        serve = ["-m", "controlplane", "serve", "--db", str(database), "--listen", "127.0.0.1:0"]
        self._server = self._start([*serve, "--ready-file", str(ready), "--log-level", "warning"])
        wait_until(ready.exists)
        address = ready.read_text().strip()
        self._worker = self._start([str(HERE / "worker.py"), address, str(self._slots)])
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            wait_until(lambda: connection.execute("SELECT EXISTS (SELECT 1 FROM sessions)").fetchone()[0])
        self._load = self._start([str(HERE / "load.py"), address, str(database)])
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them, the last one first."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        self._folder.cleanup()

    def load(self, name: str, count: int, *, i: int = 1, latencies: int = 0) -> Figures:
        """Send events, and wait until the runs they start have ended or parked."""
        cpu = self._cpu_seconds()
        assert self._load.stdin
        assert self._load.stdout
        self._load.stdin.write(json.dumps({"name": name, "count": count, "i": i, "latencies": latencies}) + "\n")
        self._load.stdin.flush()
        figures: Figures = json.loads(self._load.stdout.readline())
        server, worker = (after - before for after, before in zip(self._cpu_seconds(), cpu, strict=True))
        return {**figures, "server_cpu_us_per_run": server / count * 1e6, "worker_cpu_us_per_run": worker / count * 1e6}

    @property
    def pids(self) -> dict[str, int]:
        """The processes of interest."""
        return {"server": self._server.pid, "worker": self._worker.pid}

    def server_mebibytes(self) -> float:
        """The server's resident memory."""
        with Path(f"/proc/{self._server.pid}/status").open() as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def _start(self, arguments: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._processes.append(process)
        return process

    def _cpu_seconds(self) -> tuple[float, float]:
        return cpu_seconds(self._server.pid), cpu_seconds(self._worker.pid)


def cpu_seconds(pid: int) -> float:
    """What a process has used of all processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def medians(rounds: list[Figures]) -> Figures:
    """The median of each figure."""
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def wait_until(is_met: Any) -> None:
    """Look again and again, for up to 30 seconds."""
    until = time.monotonic() + 30
    while not is_met():
        if time.monotonic() > until:
            sys.exit("a process did not start")
        time.sleep(0.05)


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


def say(text: str) -> None:
    """Tell what is measured."""
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
