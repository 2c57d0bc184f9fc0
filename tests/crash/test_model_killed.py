"""Server and workers are killed while runs wait, invoke, hold slots, are collected, debounced and cancelled."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.states import RunState
from controlplane.gen.steplane.v1 import event_pb2, payload_pb2
from tests.crash.stage import Stage, wait_until

PROGRAM = Path(__file__).with_name("model_worker.py")
FUNCTIONS = 6
AT_ONCE = 2
EVENTS = 40
KILLS = 3


@pytest.mark.parametrize("victim", ["server", "worker"])
def test_what_waits_is_met_and_what_is_limited_stays_so(stage: Stage, chance: random.Random, victim: str) -> None:
    """Every wait is met once, every invocation answered once, every event collected once, and no limit is ever passed."""
    stage.start_server()
    worker = stage.start_worker(program=PROGRAM, functions=FUNCTIONS)
    for n in range(KILLS + 1):
        numbers = range(n * EVENTS // (KILLS + 1), (n + 1) * EVENTS // (KILLS + 1))
        for name in ("ask", "answer"):
            stage.send_batch([_event(name, number) for number in numbers])
            if n < KILLS:
                time.sleep(chance.uniform(0, 0.2))
        if n < KILLS and victim == "server":
            stage.kill_server()
        elif n < KILLS:
            worker.kill()
            worker = stage.start_worker(program=PROGRAM, functions=FUNCTIONS)
    stage.wait_ready()
    wait_until(lambda: stage.count(_COLLECTED) == EVENTS and stage.count(_BUFFERS) == 0)
    stage.wait_for_end()

    stage.stop_server()
    with closing(sqlite3.connect(stage.database)) as connection:
        connection.row_factory = sqlite3.Row
        _check(connection)


#: Events of runs that collect: one of each, and its further ones.
_COLLECTED = """SELECT (SELECT count(*) FROM runs JOIN functions ON functions.key = runs.function_key
  WHERE function_id = 'collect') + (SELECT count(*) FROM run_events)"""
#: What is to be started yet.
_BUFFERS = "SELECT count(*) FROM timers WHERE kind = 7"


def _event(name: str, number: int) -> event_pb2.Event:
    data = payload_pb2.Payload(data=json.dumps({"n": number}).encode())
    return event_pb2.Event(id=f"{name}-{number}", name=f"model/{name}", data=data)


def _check(connection: sqlite3.Connection) -> None:
    runs: dict[str, list[Any]] = {}
    sql = "SELECT runs.*, function_id FROM runs JOIN functions ON functions.key = runs.function_key ORDER BY id"
    for run in connection.execute(sql):
        runs.setdefault(run["function_id"], []).append(run)
        wanted = RunState.CANCELLED if run["function_id"] == "stopped" else RunState.COMPLETED
        assert run["state"] == wanted, dict(run)
    everything = list(range(EVENTS))

    assert sorted(int(run["output"]) for run in runs["ask"]) == [2 * n for n in everything]
    assert sorted(int(run["output"]) for run in runs["double"]) == [2 * n for n in everything]
    assert _most_at_once([(run["started_at"], run["ended_at"]) for run in runs["double"]]) <= AT_ONCE
    assert len(runs["narrow"]) == len(runs["stopped"]) == EVENTS
    assert sum(int(run["output"]) for run in runs["collect"]) == EVENTS
    assert int(runs["newest"][-1]["output"]) == EVENTS - 1
    for table in ("timers", "waits", "signals"):
        assert connection.execute(f"SELECT * FROM {table}").fetchall() == []
    for parity in (0, 1):
        alone = connection.execute(
            """SELECT journal.started_at, journal.ended_at FROM journal
            JOIN runs ON runs.id = journal.run_id JOIN events ON events.key = runs.event_key
            WHERE step_key = 'alone#0' AND json_extract(CAST(events.data AS TEXT), '$.n') % 2 = ?""",
            (parity,),
        )
        assert _most_at_once([tuple(row) for row in alone]) == 1


def _most_at_once(spans: list[tuple[int, int]]) -> int:
    """How many of these spans overlap at the most."""
    # An end goes before a start at the same moment: a freed slot is used at once.
    moments = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans], key=lambda m: (m[0], m[1]))
    most = current = 0
    for _, change in moments:
        current += change
        most = max(most, current)
    return most
