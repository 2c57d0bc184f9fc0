"""The disk refuses to write, or to say that something is on it: nothing is acknowledged then, and nothing is lost."""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import time

import pytest

from tests.crash.check import check_file
from tests.crash.conftest import ROUNDS
from tests.crash.stage import SECONDS_MAX, Stage, wait_until

FILE_BYTES_MAX = 200_000

pytestmark = pytest.mark.skipif(ROUNDS == 1, reason="part of the long form: make crash")


def test_a_full_disk_stops_the_server(stage: Stage, chance: random.Random) -> None:
    """It ends by itself and says why; once there is room it goes on where it was."""
    stage.log_level = "info"  # a longer log would not fit
    stage.start_server()
    worker = stage.start_worker()
    failing = stage.server
    with stage.load():
        stage.wait_for_work(worker)
        time.sleep(chance.uniform(0, 0.3))
        # For this one process: no file may grow beyond it, as if the disk were full.
        resource.prlimit(failing.pid, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
        wait_until(lambda: stage.deaths != [])
    _check(stage, stage.log_of(failing))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is what makes a call of the system fail")
def test_a_disk_that_does_not_confirm_stops_the_server(stage: Stage, chance: random.Random) -> None:
    """What was written but not confirmed may be there or not: it is not acknowledged, and is asked for again."""
    stage.start_server()
    worker = stage.start_worker()
    failing = stage.server
    with stage.load():
        stage.wait_for_work(worker)
        inject = f"inject=fdatasync:error=EIO:when={chance.randrange(1, 20)}+"
        command = ["strace", "--quiet=all", "-f", "-p", str(failing.pid), "-o", "/dev/null", "-e", inject]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: stage.deaths != [] or tracer.poll() is not None)
        _, said = tracer.communicate(timeout=SECONDS_MAX)
        if "Operation not permitted" in said:
            pytest.skip("strace may not look at processes here")
        wait_until(lambda: stage.deaths != [])
    _check(stage, stage.log_of(failing))


def _check(stage: Stage, log: str) -> None:
    """Check that the server failed as it should, and the next one lost nothing."""
    stage.wait_for_end()
    stage.stop_server()
    assert '"server_failed"' in log
    assert stage.deaths == [1]
    check_file(stage.database, stage.notes, stage.acknowledged)
