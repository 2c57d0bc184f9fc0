"""What is measured: each takes a stage of its own, and gives its figures."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.stage import PYTHON_WORKER, Figures, Stage, say


class Sizes(NamedTuple):
    """How much of each is measured."""

    runs: int = 20_000
    latencies: int = 200
    sleepers: int = 100_000
    many_runs: int = 500_000
    steps: int = 20_000
    waiters: int = 100_000
    keys: int = 10_000

    def scaled(self, scale: float) -> "Sizes":
        """A part of it; enough for one run of 1,000 steps, and for ten parts of the many runs."""
        runs, latencies, sleepers, many_runs, steps, waiters, keys = (int(size * scale) for size in self)
        return Sizes(
            runs, max(latencies, 10), sleepers, max(many_runs, 10), max(steps, 1_000), max(waiters, 200), max(keys, 10)
        )


def two_step_runs(sizes: Sizes, worker: Sequence[str] = PYTHON_WORKER) -> Figures:
    """What the least durable run costs, with this worker."""
    with Stage(worker) as stage:
        figures = stage.load("bench/two", sizes.runs, latencies=sizes.latencies)
        return {**figures, "worker_mebibytes": stage.worker_mebibytes()}


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


def waiting(sizes: Sizes) -> Figures:
    """What an event costs that is looked up among 100 waiting runs, and among 100,000: it meets none, or one each."""
    say(f"events among 100 and {sizes.waiters:,} waiting runs")
    few = 100
    with Stage() as stage:
        stage.load("bench/wait", few, keys=few)
        stage.load("bench/answer", sizes.runs, i=-1)
        among_few = stage.load("bench/answer", sizes.runs, i=-1)
        stage.load("bench/wait", sizes.waiters, keys=sizes.waiters)
        stage.load("bench/answer", sizes.runs, i=-1)
        among_many = stage.load("bench/answer", sizes.runs, i=-1)
        met = stage.load("bench/answer", sizes.waiters, keys=sizes.waiters)
        return {
            "events_per_second_among_100": among_few["events_per_second"],
            "events_per_second_among_many": among_many["events_per_second"],
            "cpu_ratio": among_many["server_cpu_us_per_run"] / among_few["server_cpu_us_per_run"],
            "met_per_second": met["runs_per_second"],
        }


def keyed(sizes: Sizes) -> Figures:
    """What concurrency with 10,000 keys costs: two-step runs with it, against the same runs without."""
    say(f"concurrency with {sizes.keys:,} keys")
    with Stage() as stage:
        stage.load("bench/two", sizes.runs)
        plain = stage.load("bench/two", sizes.runs)["runs_per_second"]
        stage.load("bench/keyed", sizes.runs, keys=sizes.keys, in_lanes=True)
        with_keys = stage.load("bench/keyed", sizes.runs, keys=sizes.keys, in_lanes=True)["runs_per_second"]
        return {"runs_per_second": with_keys, "share_of_plain": with_keys / plain}


def beside_flow_control(sizes: Sizes) -> Figures:
    """What nine functions lose beside a tenth whose throttle holds 10,000 runs back."""
    say("nine functions beside a throttled one")
    with Stage() as stage:
        stage.load("bench/nine", sizes.runs, keys=9)
        before = [stage.load("bench/nine", sizes.runs, keys=9)["runs_per_second"] for _ in range(2)]
        stage.load("bench/throttled", sizes.keys)
        beside = [stage.load("bench/nine", sizes.runs, keys=9)["runs_per_second"] for _ in range(2)]
        return {
            "runs_per_second_before": statistics.mean(before),
            "runs_per_second_beside": statistics.mean(beside),
            "slowdown": 1 - statistics.mean(beside) / statistics.mean(before),
        }
