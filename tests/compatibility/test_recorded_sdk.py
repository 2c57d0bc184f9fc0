"""Workers of released SDKs go on working with the server of today: their bytes, as they were recorded, get the same answers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.player import Player
from tests.compatibility.recording import (
    FOLDER,
    SINGLE_WORK,
    STREAM_WORK,
    Contract,
    Entry,
    Recording,
    descriptors_of,
    items,
)
from tests.compatibility.server import serve

BUF = Path(sys.executable).with_name("buf")
PROTO = FOLDER.parents[1] / "proto"
RECORDINGS = sorted(FOLDER.glob("*.jsonl*"), key=lambda path: path.name)


def name_of(path: Path) -> str:
    """The recording's."""
    return path.name.split(".")[0]


@pytest.mark.parametrize("path", RECORDINGS, ids=name_of)
async def test_recorded_worker_gets_the_same_answers(path: Path, tmp_path: Path) -> None:
    """So nobody has to update workers before, or with, the server."""
    assert await problems_of(Recording.load(path), path, tmp_path) == []


async def test_other_answers_are_found(tmp_path: Path) -> None:
    """The replay proves something: of a server that says one thing more or less, or another thing, it says so."""
    path = RECORDINGS[-1]
    recording, contract = Recording.load(path), contract_of(path)
    first = recording.entries[: index_of(recording, contract, "run_completed") + 2]

    def altered(kind: str, data: bytes) -> bytes:
        frame: Any = contract.response(STREAM_WORK, data)
        if frame.WhichOneof("frame") != kind:
            return data
        if kind == "acks":
            frame.acks.acks[0].status += 1
        else:
            frame.invocations.invocations[0].epoch += 1
        changed: bytes = frame.SerializeToString()
        return changed

    for number, (kind, told) in enumerate({"acks": "status was", "invocations": "epoch was"}.items()):
        entries = [
            replace(entry, data=altered(kind, entry.data)) if is_told(recording, entry) else entry for entry in first
        ]
        folder = tmp_path / str(number)
        folder.mkdir()
        problems = await problems_of(Recording(recording.flags, entries), path, folder)
        assert told in "\n".join(problems)


@pytest.mark.parametrize("path", RECORDINGS, ids=name_of)
def test_contract_only_grows(path: Path) -> None:
    """Names, numbers, types and labels of its time still hold, of fields that no recorded frame has as well."""
    command = [BUF, "breaking", "--against", descriptors_of(path)]
    done = subprocess.run(command, cwd=PROTO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_recordings_have_every_kind_of_frame_report_and_answer() -> None:
    """What no recording has is not protected by any."""
    seen = {each for path in RECORDINGS for each in seen_in(path)}
    assert seen >= {
        *("hello", "credit", "reports", "heartbeat", "release", "drain"),
        *("welcome", "invocations", "acks", "resolutions", "cancellations", "heartbeat_ack", "drain_ack"),
        *("journal_part", "the server's drain", "leases to stop", "leases resumed"),
        *("step_completed", "step_failed", "sleep_started", "events_sent", "wait_started", "invoke_started"),
        *("signal_wait_started", "signal_sent", "run_completed", "run_failed", "run_parked"),
        *("ACK_STATUS_COMMITTED", "ACK_STATUS_DUPLICATE", "ACK_STATUS_STALE_EPOCH", "ACK_STATUS_RUN_ENDED"),
        "ACK_STATUS_REJECTED",
        *(method.rsplit("/", 1)[-1] for method in SINGLE_WORK),
        *("RegisterFunction", "SendEvents", "GetRun", "ListJournal", "CancelRun"),
    }


async def problems_of(recording: Recording, path: Path, folder: Path) -> list[str]:
    """What a server of today answers otherwise."""
    with serve(folder, recording.flags) as server:
        player = Player(recording, contract_of(path), server)
        await player.play()
    return player.problems


def contract_of(path: Path) -> Contract:
    """The contract that a recording was made with."""
    return Contract(descriptors_of(path).read_bytes())


def methods_of(recording: Recording) -> dict[int, str]:
    """The methods of its calls."""
    return {entry.call: entry.method for entry in recording.entries if entry.do == "open"}


def is_told(recording: Recording, entry: Entry) -> bool:
    """Whether this is a frame that a worker was sent on a stream."""
    return entry.do == "receive" and methods_of(recording)[entry.call] == STREAM_WORK


def index_of(recording: Recording, contract: Contract, body: str) -> int:
    """Where the first report of a kind is."""
    methods = methods_of(recording)
    for index, entry in enumerate(recording.entries):
        if entry.do == "send" and methods[entry.call] == STREAM_WORK:
            frame: Any = contract.request(STREAM_WORK, entry.data)
            if any(report.WhichOneof("body") == body for report in frame.reports.reports):
                return index
    raise AssertionError(f"no report {body}")


def seen_in(path: Path) -> set[str]:
    """What a recording has, in words."""
    recording, contract = Recording.load(path), contract_of(path)
    methods, seen = methods_of(recording), set[str]()
    seen |= {method.rsplit("/", 1)[-1] for method in methods.values()}
    for entry in recording.entries:
        if not entry.data:
            continue
        method = methods[entry.call]
        if entry.do == "receive":
            seen |= {
                each
                for kind, item in items(method, contract.response(method, entry.data))
                for each in (kind, *words(kind, item))
            }
        elif method == STREAM_WORK:
            frame: Any = contract.request(STREAM_WORK, entry.data)
            seen |= {field.name for field, _ in frame.ListFields()}
            seen |= {report.WhichOneof("body") for report in frame.reports.reports}
    return seen


def words(kind: str, item: Any) -> list[str]:
    """What is special about an item that a worker was told."""
    said = {
        "the server's drain": kind == "drain",
        "leases to stop": kind == "heartbeat_ack" and "stop" in item,
        "leases resumed": kind == "welcome" and "resumed" in item,
        item.get("status", ""): kind == "acks",
    }
    return [word for word, is_so in said.items() if is_so]
