"""Samples where a process spends its time, with py-spy, which looks from outside and so costs the process little."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = f"{Path(__file__).resolve().parents[1]}/"
OURS = re.compile(r"\((controlplane|steplane|sdk_py)/")
WAITS = {"epoll_wait", "epoll_pwait", "PyThread_acquire_lock_timed", "take_gil", "pthread_cond_timedwait", "poll"}
SAMPLES_A_SECOND = 250


def sampler() -> str:
    """The path of py-spy; ends the program if there is none."""
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    return found or sys.exit("--profile needs py-spy: pip install py-spy")


@contextmanager
def sampled(pids: dict[str, int]) -> Iterator[dict[str, Profile]]:
    """Sample processes while the block runs; what each spent its time in is there after it."""
    profiles: dict[str, Profile] = {}
    with tempfile.TemporaryDirectory() as folder:
        running = {}
        for name, pid in pids.items():
            flags = ["--rate", str(SAMPLES_A_SECOND), "--native", "--format", "raw", "--duration", "600"]
            command = [sampler(), "record", "--pid", str(pid), *flags, "--output", str(Path(folder) / name)]
            running[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield profiles
        for name, process in running.items():
            process.send_signal(signal.SIGINT)
            process.wait(60)
            profiles[name] = Profile((Path(folder) / name).read_text())


class Profile:
    """How many samples found a thread at work, and where. Waiting for work is left out."""

    def __init__(self, text: str) -> None:
        """Read stacks as py-spy writes them: frames joined by `;`, a blank, and how often it was seen."""
        self.total = 0
        self.within: Counter[str] = Counter()
        """In each function of this project, or in what it called."""
        self.itself: Counter[str] = Counter()
        """In each function itself."""
        for line in text.splitlines():
            stack, _, count = line.rpartition(" ")
            frames = [re.sub(r":\d+\)$", ")", frame.replace(HERE, "")) for frame in stack.split(";")]
            if WAITS & {frame.partition(" ")[0] for frame in frames}:
                continue
            self.total += int(count)
            self.within.update(dict.fromkeys({frame for frame in frames if OURS.search(frame)}, int(count)))
            self.itself[frames[-1]] += int(count)


def profile_table(name: str, profile: Profile, *, count: int = 25) -> Iterator[str]:
    """The functions that a process spent most time in, as Markdown."""
    for kind, counter in (("with what it calls", profile.within), ("itself", profile.itself)):
        yield f"\n**{name}**, {kind}:\n"
        yield "| share | where |"
        yield "| ---: | --- |"
        for where, samples in counter.most_common(count):
            yield f"| {samples / profile.total:.0%} | `{where}` |"
