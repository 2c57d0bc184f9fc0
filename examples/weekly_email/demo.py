"""What `make demo` shows: a server, a worker that is killed half-way, another that goes on, and the lineage of it all.

Everything is real: processes of their own, sockets, an SQLite file, and SIGKILL.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from controlplane.gen.steplane.v1 import run_pb2, run_pb2_grpc

APP = Path(__file__).parent / "app.py"
STEPLANE = [sys.executable, "-m", "controlplane"]
SECONDS_MAX = 60.0

console = Console(highlight=False)
started: dict[Path, subprocess.Popen[bytes]] = {}
"""Each process, by its log."""


def main() -> int:
    """Run the demo; the exit status is 1 if a promise was broken."""
    with tempfile.TemporaryDirectory(prefix="steplane-demo-") as name, all_ended(), serve(Path(name)) as environment:
        folder = Path(name)
        say("starting a worker (4 slots)")
        worker = start(folder, "worker-1", [sys.executable, str(APP)], environment)
        with grpc.insecure_channel(environment["STEPLANE_ADDRESS"]) as channel:
            runs = run_pb2_grpc.RunServiceStub(channel)
            event_id = trigger(environment)
            say(f"fired the weekly schedule now: event [bold]{event_id}[/bold]")
            with progress_bar() as show:
                wait_until(lambda: show(lineage(runs, event_id)) >= 0.5, worker)
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
                say("[bold red]killed the worker with SIGKILL half-way[/bold red], and starting another")
                worker = start(folder, "worker-2", [sys.executable, str(APP)], environment)
                wait_until(lambda: show(lineage(runs, event_id)) >= 1.0, worker)
            console.print()
            draw(event_id, environment)
            is_kept = prove(lineage(runs, event_id), folder / "notes")
        worker.send_signal(signal.SIGTERM)
        worker.wait(10)
    return 0 if is_kept else 1


@contextmanager
def serve(folder: Path) -> Iterator[dict[str, str]]:
    """A server on a free port, with its file in the folder; gives the environment that its clients need."""
    say(f"starting a server with {folder / 'steplane.db'}")
    say("it gives the runs of a lost worker to others after 1 s (5 s by default), to keep this short")
    ready = folder / "address"
    command = [*STEPLANE, "serve", "--db", str(folder / "steplane.db"), "--listen", "127.0.0.1:0"]
    server = start(folder, "server", [*command, "--ready-file", str(ready), "--session-grace", "1s"], dict(os.environ))
    try:
        wait_until(lambda: ready.exists() and bool(ready.read_text().strip()), server)
        yield {
            **os.environ,
            "STEPLANE_ADDRESS": ready.read_text().strip(),
            "WEEKLY_EMAIL_NOTES": str(folder / "notes"),
        }
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def start(folder: Path, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A process of its own, which logs into a file of the folder."""
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    started[path] = process
    return process


@contextmanager
def all_ended() -> Iterator[None]:
    """No process outlives the block, however it ends."""
    try:
        yield
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def trigger(environment: dict[str, str]) -> str:
    """Fire the cron function; the id of the event that this makes. The worker may still be registering it."""
    command = [*STEPLANE, "trigger", "weekly-activity-load-users", "--json"]
    until = time.monotonic() + SECONDS_MAX
    while True:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return str(json.loads(done.stdout)["event_id"])
        if time.monotonic() > until:
            sys.exit(done.stderr)
        time.sleep(0.1)


def draw(event_id: str, environment: dict[str, str]) -> None:
    """Have the command line draw all that came of the event; as wide as needed where nobody's terminal sets the width."""
    width = {} if console.is_terminal else {"COLUMNS": "120"}
    command = [*STEPLANE, "lineage", event_id, "--no-json", "--children", "0"]
    subprocess.run(command, env={**environment, **width}, check=True)


def lineage(runs: run_pb2_grpc.RunServiceStub, event_id: str) -> Any:
    """All that came of an event so far."""
    return runs.GetLineage(run_pb2.GetLineageRequest(event_id=event_id))


def wait_until(is_met: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Look ten times a second, while the process is alive."""
    until = time.monotonic() + SECONDS_MAX
    while not is_met():
        if process.poll() is not None or time.monotonic() > until:
            logs = "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in started)
            sys.exit(f"that took too long, or a process ended too early:\n{logs}")
        time.sleep(0.1)


@contextmanager
def progress_bar() -> Iterator[Callable[[Any], float]]:
    """A bar; gives a function that shows a lineage on it, and tells which part of its runs has ended."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("runs ended", total=None)
        shown = -1

        def show(tree: Any) -> float:
            nonlocal shown
            ended = sum(1 for run in tree.runs if run.HasField("end_time"))
            # The schedule's own run ends only when it has sent all events.
            is_fanned_out = any(run.HasField("end_time") and not is_child(tree, run) for run in tree.runs)
            bar.update(task, completed=ended, total=len(tree.runs) if is_fanned_out else None)
            if not console.is_terminal and ended != shown:
                shown = ended
                console.print(f"  {ended} of {len(tree.runs)} runs ended")
            return ended / len(tree.runs) if is_fanned_out else 0.0

        yield show


def is_child(tree: Any, run: Any) -> bool:
    """Whether an event that a step sent started the run."""
    return any(record.source_run_id and record.event.id == run.event_id for record in tree.events)


def prove(tree: Any, notes: Path) -> bool:
    """Compare what is recorded with what the code of the steps noted: nothing begins once it is recorded."""
    recorded = {
        entry.traceparent.split("-")[2]: entry.end_time.ToMicroseconds()
        for journal in tree.journals
        for entry in journal.entries
    }
    begun = Counter[str]()
    late = 0
    for line in notes.read_text().splitlines():
        span, _, moment = line.split()
        begun[span] += 1
        late += int(moment) > recorded.get(span, 2**63)
    again = sum(1 for count in begun.values() if count > 1)
    traces = {record.event.traceparent.split("-")[1] for record in tree.events}
    console.print(f"\n{len(recorded)} steps are recorded, in {len(tree.runs)} runs, under {len(traces)} trace id.")
    console.print(f"{late} of them ran again after they were recorded.")
    console.print(f"{again} were under way when the worker was killed, not recorded yet, and so ran again.")
    ended_well = all(run.state == run_pb2.RUN_STATE_COMPLETED for run in tree.runs)
    is_kept = late == 0 and ended_well and len(traces) == 1 and len(tree.events) == len(tree.runs)
    console.print("[bold green]Every promise was kept.[/bold green]" if is_kept else "[bold red]BROKEN[/bold red]")
    return is_kept


def say(text: str) -> None:
    """Tell what happens."""
    console.print(f"[dim]•[/dim] {text}")


if __name__ == "__main__":
    sys.exit(main())
