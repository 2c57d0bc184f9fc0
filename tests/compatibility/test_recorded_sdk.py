"""Workers of released SDKs go on working with the server of today: their bytes, as they were recorded, get the same answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.compatibility.player import Player
from tests.compatibility.recording import FOLDER, STREAM_WORK, Contract, Recording, items
from tests.compatibility.server import serve

BUF = Path(sys.executable).with_name("buf")
PROTO = FOLDER.parents[1] / "proto"
RECORDINGS = sorted(FOLDER.glob("*.jsonl"), key=lambda path: path.stem)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
async def test_recorded_worker_gets_the_same_answers(path: Path, tmp_path: Path) -> None:
    """So nobody has to update workers before, or with, the server."""
    recording = Recording.load(path)
    with serve(tmp_path, recording.flags) as address:
        player = Player(recording, contract_of(path), address)
        await player.play()
    assert player.problems == []


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_contract_only_grows(path: Path) -> None:
    """Names, numbers, types and labels of its time still hold, of fields that no recorded frame has as well."""
    command = [BUF, "breaking", "--against", path.with_suffix(".binpb")]
    done = subprocess.run(command, cwd=PROTO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recording_has_every_kind_of_frame_and_report(path: Path) -> None:
    """What no recording has is not protected by it."""
    recording, contract = Recording.load(path), contract_of(path)
    methods = {entry.call: entry.method for entry in recording.entries if entry.do == "open"}
    seen: set[str] = set()
    for entry in recording.entries:
        if methods[entry.call] != STREAM_WORK or not entry.data:
            continue
        if entry.do == "receive":
            seen |= {kind for kind, _ in items(STREAM_WORK, contract.response(STREAM_WORK, entry.data))}
        else:
            frame = contract.request(STREAM_WORK, entry.data)
            seen |= {field.name for field, _ in frame.ListFields()}
            reports = frame.reports.reports  # type: ignore[attr-defined]  # of a contract of its own
            seen |= {report.WhichOneof("body") for report in reports}
    assert seen >= {
        *("hello", "credit", "reports", "heartbeat", "release", "drain"),
        *("welcome", "invocations", "acks", "resolutions", "cancellations", "heartbeat_ack", "drain_ack"),
        *("step_completed", "step_failed", "sleep_started", "events_sent", "wait_started", "invoke_started"),
        *("signal_wait_started", "signal_sent", "run_completed", "run_failed", "run_parked"),
    }


def contract_of(path: Path) -> Contract:
    """The contract that a recording was made with."""
    return Contract(path.with_suffix(".binpb").read_bytes())
