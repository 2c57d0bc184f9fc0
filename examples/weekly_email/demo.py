"""What `make demo` shows: a server, workers that are killed half-way, others that go on, and the lineage of it all.

Everything is real: processes of their own, sockets, an SQLite file, and SIGKILL. With LANG=ts or LANG=go the program is the one
in that language; with LANG=all there is a worker in each language, and one schedule fans out to all of them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from controlplane.gen.steplane.v1 import function_pb2, function_pb2_grpc, run_pb2, run_pb2_grpc
from examples.weekly_email.programs import ROOT, Program, chosen
from examples.weekly_email.proof import Lineage, Proof, count_ended, prove, share_sent

STEPLANE = [sys.executable, "-m", "controlplane"]
SECONDS_MAX = 60.0

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; the exit status is 1 if a promise was broken."""
    programs = chosen(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="steplane-demo-") as name:
        folder = Path(name)
        with processes_in(folder) as processes:
            environment = serve(processes, folder)
            with grpc.insecure_channel(environment["STEPLANE_ADDRESS"]) as channel:
                proof = show(processes, environment, channel, programs)
    for line in proof.lines:
        console.print(line)
    if not proof.is_kept:
        console.print("[bold red]BROKEN[/bold red]")
        return 1
    console.print("[bold green]Every promise was kept.[/bold green]")
    return 0


class Processes:
    """The processes of the demo, by their names. Each logs into a file of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._live: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str | Path], environment: dict[str, str]) -> None:
        """Start one, in the root of the checkout."""
        with (self._folder / f"{name}.log").open("wb") as log:
            self._live[name] = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        """End one with SIGKILL, which nothing can catch."""
        process = self._live.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End all as an operator would, the newest first."""
        for process in reversed(self._live.values()):
            process.terminate()
            process.wait(20)

    def kill_all(self) -> None:
        """Leave none behind."""
        for name in list(self._live):
            self.kill(name)

    def wait_until(self, is_met: Callable[[], bool]) -> None:
        """Look ten times a second, while all are alive."""
        until = time.monotonic() + SECONDS_MAX
        while not is_met():
            dead = [name for name, process in self._live.items() if process.poll() is not None]
            if dead or time.monotonic() > until:
                what = f"{' and '.join(dead)} ended too early" if dead else "that took too long"
                logs = [f"--- {path.name}\n{path.read_text()[-2000:]}" for path in self._folder.glob("*.log")]
                sys.exit("\n".join([what, *logs]))
            time.sleep(0.1)


@contextmanager
def processes_in(folder: Path) -> Iterator[Processes]:
    """Processes of which none outlives the block, however it ends."""
    processes = Processes(folder)
    try:
        yield processes
        processes.stop()
    finally:
        processes.kill_all()


def serve(processes: Processes, folder: Path) -> dict[str, str]:
    """Start a server on a free port, with its file in the folder; gives the environment that its clients need."""
    say(f"starting a server with {folder / 'steplane.db'}")
    say("it gives the runs of a lost worker to others after 1 s (5 s by default), to keep this short")
    ready = folder / "address"
    command = [*STEPLANE, "serve", "--db", str(folder / "steplane.db"), "--listen", "127.0.0.1:0"]
    processes.start("server", [*command, "--ready-file", str(ready), "--session-grace", "1s"], dict(os.environ))
    processes.wait_until(lambda: ready.exists() and bool(ready.read_text().strip()))
    return {
        **os.environ,
        "STEPLANE_ADDRESS": ready.read_text().strip(),
        "WEEKLY_EMAIL_NOTES": str(folder / "notes"),
    }


def show(
    processes: Processes, environment: dict[str, str], channel: grpc.Channel, programs: Sequence[Program]
) -> Proof:
    """Fire the schedule of the first program, and kill the worker of each one once half of its e-mails are sent."""
    for program in programs:
        say(f"starting a worker in {program.title} (2 slots)")
        processes.start(f"{program.language}-1", program.command, environment)
    processes.wait_until(lambda: served(channel) == {program.app_id for program in programs})
    event_id = trigger(environment, programs)
    say(f"fired the weekly schedule now, in {programs[0].title}: event [bold]{event_id}[/bold]")
    unharmed = list(programs)
    with progress_bar() as shown:

        def go_on() -> bool:
            lineage = shown(read_lineage(channel, event_id))
            for program in [each for each in unharmed if share_sent(lineage, each.app_id) >= 0.5]:
                unharmed.remove(program)
                processes.kill(f"{program.language}-1")
                processes.start(f"{program.language}-2", program.command, environment)
                say(f"[bold red]killed the worker in {program.title} with SIGKILL[/bold red], and started another")
            return count_ended(lineage.runs) == len(lineage.runs) > 1

        processes.wait_until(go_on)
    console.print()
    draw(event_id, environment)
    console.print()
    return prove(read_lineage(channel, event_id), Path(environment["WEEKLY_EMAIL_NOTES"]), programs)


def served(channel: grpc.Channel) -> set[str]:
    """The apps that live workers serve."""
    functions = function_pb2_grpc.FunctionServiceStub(channel).ListFunctions(function_pb2.ListFunctionsRequest())
    return {function.definition.app_id for function in functions.functions if function.live_sessions}


def trigger(environment: dict[str, str], programs: Sequence[Program]) -> str:
    """Fire the first program's schedule, for users of all the languages; the id of the event that this makes."""
    function = f"{programs[0].app_id}/weekly-activity-load-users"
    data = json.dumps({"languages": [program.language for program in programs]})
    command = [*STEPLANE, "trigger", function, data, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return str(json.loads(done.stdout)["event_id"])


def read_lineage(channel: grpc.Channel, event_id: str) -> Lineage:
    """All that came of an event so far."""
    return run_pb2_grpc.RunServiceStub(channel).GetLineage(run_pb2.GetLineageRequest(event_id=event_id))


def draw(event_id: str, environment: dict[str, str]) -> None:
    """Have the command line draw all that came of the event; as wide as needed where nobody's terminal sets the width."""
    width = {} if console.is_terminal else {"COLUMNS": "120"}
    command = [*STEPLANE, "lineage", event_id, "--no-json", "--children", "0"]
    subprocess.run(command, cwd=ROOT, env={**environment, **width}, check=True)


@contextmanager
def progress_bar() -> Iterator[Callable[[Lineage], Lineage]]:
    """A bar; gives a function that shows a lineage on it, and gives it back."""
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("runs ended", total=None)
        seen = -1

        def shown(lineage: Lineage) -> Lineage:
            nonlocal seen
            ended, runs = count_ended(lineage.runs), len(lineage.runs)
            bar.update(task, completed=ended, total=runs if runs > 1 else None)
            if not console.is_terminal and ended != seen:
                seen = ended
                console.print(f"  {ended} of {runs} runs ended")
            return lineage

        yield shown


def say(text: str) -> None:
    """Tell what happens."""
    console.print(f"[dim]•[/dim] {text}")


if __name__ == "__main__":
    sys.exit(main())
