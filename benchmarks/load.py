"""Sends events, and waits for the runs they start: `load.py ADDRESS DATABASE`, then a line of JSON a job on its input.

A job is `{"name": …, "count": …, "i": …, "keys": …, "latencies": …, "in_lanes": …}`; what comes back is one line of JSON. It looks into the
database, read-only, to see runs end, so that watching costs the server nothing.
"""

import asyncio
import json
import secrets
import sqlite3
import sys
import time
from typing import Any

import grpc

from steplane.gen.steplane.v1 import event_pb2, event_pb2_grpc

BATCH = 100
BATCHES_AT_ONCE = 10

# Both are answered by a partial index, however many runs have ended or sleep.
BUSY = """SELECT EXISTS (SELECT 1 FROM runs WHERE state = 1 AND {lane}) OR EXISTS (
  SELECT 1 FROM runs WHERE session_id IS NOT NULL
)"""
#: Runs that a control may hold back for ever are in a lane of their own.
BUSY_WITHOUT_FLOW = BUSY.format(lane="lane = 0")
BUSY_WITH_ALL = BUSY.format(lane="true")
ENDED = """SELECT 1 FROM events JOIN runs ON runs.event_key = events.key
WHERE events.namespace = 'default' AND events.id = ? AND runs.ended_at IS NOT NULL"""


async def main() -> None:
    """Do the jobs of standard input."""
    send = event_pb2_grpc.EventServiceStub(grpc.aio.insecure_channel(sys.argv[1])).SendEvents
    database = sqlite3.connect(f"file:{sys.argv[2]}?mode=ro", uri=True)
    for line in sys.stdin:
        print(json.dumps(await do(json.loads(line), send, database)), flush=True)


async def do(job: dict[str, Any], send: Any, database: sqlite3.Connection) -> dict[str, float]:
    """One job."""
    count, busy = job["count"], BUSY_WITH_ALL if job["in_lanes"] else BUSY_WITHOUT_FLOW
    began = time.perf_counter()
    for first in range(0, count, BATCH * BATCHES_AT_ONCE):
        starts = range(first, min(count, first + BATCH * BATCHES_AT_ONCE), BATCH)
        await asyncio.gather(*(send(request(job, range(start, min(count, start + BATCH)))) for start in starts))
    sent = time.perf_counter()
    while database.execute(busy).fetchone()[0]:
        await asyncio.sleep(0.02)
    ended = time.perf_counter()
    result = {"events_per_second": count / (sent - began), "runs_per_second": count / (ended - began)}
    latencies = []
    for _ in range(job.get("latencies", 0)):
        began = time.perf_counter()
        event = event_pb2.Event(id=secrets.token_hex(13), name=job["name"])
        event.data.data = data_of(job, 0)
        await send(event_pb2.SendEventsRequest(events=[event]))
        while not database.execute(ENDED, (event.id,)).fetchone():
            await asyncio.sleep(0.0005)
        latencies.append((time.perf_counter() - began) * 1e3)
    if latencies:
        latencies.sort()
        result["latency_ms_p50"] = latencies[len(latencies) // 2]
        result["latency_ms_p99"] = latencies[len(latencies) * 99 // 100]
    return result


def request(job: dict[str, Any], numbers: range) -> event_pb2.SendEventsRequest:
    """A batch of events."""
    message = event_pb2.SendEventsRequest()
    for number in numbers:
        message.events.add(name=job["name"]).data.data = data_of(job, number)
    return message


def data_of(job: dict[str, Any], number: int) -> bytes:
    """The data of an event."""
    data = {"i": job["i"]}
    if job["keys"]:
        data["key"] = number % job["keys"]
    return json.dumps(data).encode()


if __name__ == "__main__":
    asyncio.run(main())
