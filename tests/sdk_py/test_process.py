"""A worker as a process of its own, and its signals."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

from steplane.gen.steplane.v1 import work_pb2
from tests.sdk_py.peer import SECONDS_MAX, Peer

PROGRAM = """
    import asyncio, datetime, sys, threading
    import steplane

    client = steplane.Steplane(app_id="app")

    @client.create_function(fn_id="f", trigger=steplane.TriggerEvent(event="app/a"))
    async def function(ctx: steplane.Context) -> str:
        await ctx.step.run("a", lambda: None)
        await ctx.step.run("b", body, ctx.event.data["how"])
        return "done"

    async def body(how: str) -> None:
        print("begun", flush=True)
        if how == "forever":
            await asyncio.Event().wait()
        if how == "blocking":
            threading.Event().wait()
        if how == "failing":
            raise ValueError("not today")

    client.worker(drain_timeout=datetime.timedelta(seconds=60)).run()
    print("ended", flush=True)
"""


@pytest.fixture
def start(peer: Peer) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts the program."""
    processes: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        program = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
        env = {"STEPLANE_ADDRESS": peer.address, "PATH": ""}
        processes.append(
            subprocess.Popen(program, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(peer: Peer, start: Callable[[], subprocess.Popen[str]], number: signal.Signals) -> None:
    """At SIGTERM or Ctrl-C what runs is ended and reported, and then the process ends as if it had come to its end."""
    process = start()
    stream = peer.accept().welcome()
    stream.invoke(data=b'{"how":"quick"}')
    report = stream.take_report()
    process.send_signal(number)
    stream.take("drain")
    stream.send(drain_ack=work_pb2.DrainAck())
    stream.ack(report)
    stream.ack(stream.take_report())
    last = stream.take_report()
    assert last.run_completed.output.data == b'"done"'
    stream.ack(last)
    output, _ = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, output.splitlines()) == (
        0,
        [f"{number.name}: ending what runs, and taking nothing more; again to stop at once", "begun", "ended"],
    )


@pytest.mark.parametrize("how", ["forever", "blocking"])
def test_a_second_signal_stops_at_once(peer: Peer, start: Callable[[], subprocess.Popen[str]], how: str) -> None:
    """Whatever runs, and even if it blocks the event loop: it is not waited for, and no failure of it is reported."""
    process = start()
    stream = peer.accept().welcome()
    stream.invoke(data=f'{{"how":"{how}"}}'.encode())
    stream.ack(stream.take_report())
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "SIGTERM: ending what runs, and taking nothing more; again to stop at once\n"
    if how == "forever":
        stream.take("drain")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 128 + signal.SIGTERM
    assert "ended" not in output
    if how == "blocking":
        stream.take("drain")
    stream.take("release")
    stream.take("end")


def test_a_failure_is_told_without_the_workers_own(peer: Peer, start: Callable[[], subprocess.Popen[str]]) -> None:
    """The traceback of the user's code begins with nothing that went before in the worker."""
    process = start()
    stream = peer.accept().welcome()
    stream.invoke(data=b'{"how":"failing"}')
    stream.ack(stream.take_report())
    failed = stream.take_report().step_failed

    assert failed.failure.message == "not today"
    process.kill()
    output, _ = process.communicate(timeout=SECONDS_MAX)
    assert output.count("Traceback") == 1
