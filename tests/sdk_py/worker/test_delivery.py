"""When the branches of a function hear of results, round by round of the event loop. The server is the test itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any

import pytest

from steplane import Context, Event, Steplane, TriggerEvent
from steplane.gen.steplane.v1 import run_pb2, work_pb2
from steplane.limits import Limits
from steplane.replay.journal import AckStatus, Entry, StepKind, StepState
from steplane.worker.executor import Executor
from steplane.worker.outbox import IncomingAck, Outbox
from tests.sdk_py.peer import asleep, entry

LEASE = ("r1", 1)
ROUNDS_MAX = 2_000
"""Nothing that a test waits for takes so many."""


class Line:
    """A worker's executor and outbox, and a function that writes down what it sees."""

    def __init__(self, handler: Callable[[Context, list[Any]], Awaitable[Any]]) -> None:
        self.seen: list[Any] = []
        """What the code saw, in order."""

        async def function(ctx: Context) -> Any:
            return await handler(ctx, self.seen)

        client = Steplane(app_id="app", address="127.0.0.1:1")
        defined = client.create_function(fn_id="f", trigger=TriggerEvent(event="app/a"))(function)
        client.close()
        self._outbox = Outbox(1)
        self._stream = self._outbox.open(b"", ())
        self._outbox.welcome(self._stream, resumed=(), frame_bytes_max=0, sure_until=inf)
        self.executor = Executor(
            loop=asyncio.get_running_loop(),
            outbox=self._outbox,
            functions={"f": defined},
            logger=logging.getLogger,
            connected=asyncio.Event(),
            on_change=lambda: None,
            on_refused=lambda _error: None,
        )
        self.executor.limits = Limits(run_steps_max=1000)

    def invoke(self, *journal: run_pb2.JournalEntry) -> None:
        """Give it a run."""
        message = work_pb2.Invocation(run_id="r1", epoch=1, function_id="f", journal=journal)
        self._outbox.received([LEASE])
        self.executor.invoked([message])

    async def reports(self, count: int) -> list[work_pb2.Report]:
        """The next reports, so many."""
        reports: list[work_pb2.Report] = []
        for _ in range(ROUNDS_MAX):
            await asyncio.sleep(0)
            self._outbox.beat(sure_until=inf)  # so that there is something to take
            batch = self._outbox.take(self._stream)
            assert batch is not None
            reports += map(work_pb2.Report.FromString, batch.reports)
            if len(reports) >= count:
                return reports
        raise AssertionError(f"only these reports came: {reports}")

    async def begin(self, *journal: run_pb2.JournalEntry, steps: int) -> None:
        """Give it a run, and wait until so many steps are reported and the code is at rest."""
        self.invoke(*journal)
        await self.reports(steps)
        await rounds(20)

    def ack(self, *ids: str) -> None:
        """Answer reports, all in one message."""
        self.executor.acked([IncomingAck(LEASE, f"{id_}#0", AckStatus.COMMITTED, "", None) for id_ in ids])

    def resolve(self, id_: str, ended_at: int) -> None:
        """End a sleep."""
        self.executor.resolved([(LEASE, Entry(f"{id_}#0", StepKind.SLEEP, StepState.COMPLETED, ended_at=ended_at))])


async def rounds(count: int) -> None:
    """Let so many rounds of the loop pass."""
    for _ in range(count):
        await asyncio.sleep(0)


def done(id_: str, ended_at: int) -> run_pb2.JournalEntry:
    """A run step that was done at that microsecond."""
    made = entry(f"{id_}#0", run_pb2.STEP_KIND_RUN, run_pb2.STEP_STATE_COMPLETED, output=b"1", attempts=1)
    made.end_time.FromMicroseconds(ended_at)
    return made


def nothing() -> int:
    """A step's body."""
    return 1


async def _race(ctx: Context, seen: list[Any], ids: Sequence[str]) -> None:
    """Tell which branches each end of a wait shows, until none is left."""
    tasks = {asyncio.ensure_future(ctx.step.run(id_, nothing)): id_ for id_ in ids}
    while tasks:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        seen.append({tasks.pop(task) for task in ended})


@pytest.mark.parametrize("ids", ["abc", "cba", "bac"])
async def test_a_replay_shows_one_end_at_a_time(ids: str) -> None:
    """In the order of the journal, whichever branch was created first."""
    line = Line(lambda ctx, seen: _race(ctx, seen, ids))
    line.invoke(done("b", 20), done("a", 10), done("c", 30))
    await line.reports(1)
    assert line.seen == [{"a"}, {"b"}, {"c"}]


STEPS: list[tuple[run_pb2.StepKind, dict[str, Any], Callable[[Context], Awaitable[Any]]]] = [
    (run_pb2.STEP_KIND_RUN, {"output": b"1"}, lambda ctx: ctx.step.run("s", nothing)),
    (run_pb2.STEP_KIND_SLEEP, {}, lambda ctx: ctx.step.sleep("s", 60_000)),
    (run_pb2.STEP_KIND_SEND_EVENTS, {"sent": ["e1"]}, lambda ctx: ctx.step.send_event("s", Event(name="app/b"))),
    (run_pb2.STEP_KIND_WAIT_FOR_EVENT, {"output": b"null"}, lambda ctx: ctx.step.wait_for_event("s", event="app/b")),
    (run_pb2.STEP_KIND_INVOKE, {"output": b"1"}, lambda ctx: ctx.step.invoke("s", function="f")),
    (run_pb2.STEP_KIND_WAIT_FOR_SIGNAL, {"output": b"1"}, lambda ctx: ctx.step.wait_for_signal("s", signal="x")),
    (run_pb2.STEP_KIND_SEND_SIGNAL, {"output": b'"r2"'}, lambda ctx: ctx.step.send_signal("s", signal="x")),
]


@pytest.mark.parametrize(("kind", "fields", "step"), STEPS, ids=[run_pb2.StepKind.Name(kind) for kind, *_ in STEPS])
@pytest.mark.parametrize("ended_at", [10, 30])
async def test_steps_of_every_kind_wait_for_their_turn(
    kind: run_pb2.StepKind, fields: dict[str, Any], step: Callable[[Context], Awaitable[Any]], ended_at: int
) -> None:
    """Called before a step that was done at 20, and reported no second time, also if the connection is new meanwhile."""

    async def race(ctx: Context, seen: list[Any]) -> None:
        async def branch(name: str, step: Awaitable[Any]) -> None:
            await step
            seen.append(name)

        await asyncio.gather(branch("it", step(ctx)), branch("other", ctx.step.run("other", nothing)))

    fields = dict(fields)
    sent = fields.pop("sent", [])
    made = entry("s#0", kind, run_pb2.STEP_STATE_COMPLETED, **fields)
    made.event_ids.extend(sent)
    made.end_time.FromMicroseconds(ended_at)
    line = Line(race)
    line.invoke(made, done("other", 20))
    await rounds(2)
    line.executor.welcomed(line.executor.limits, [])
    (report,) = await line.reports(1)
    assert report.WhichOneof("body") == "run_completed"
    assert line.seen == (["it", "other"] if ended_at < 20 else ["other", "it"])


async def test_events_that_were_sent_are_not_made_again() -> None:
    """Nothing of a recorded send is looked at again: not even that its events could be sent as they are now."""

    async def function(ctx: Context, seen: list[Any]) -> None:
        seen.append(await ctx.step.send_event("s", Event(name="app/b", data={"not JSON": object()})))

    line = Line(function)
    sent = entry("s#0", run_pb2.STEP_KIND_SEND_EVENTS, run_pb2.STEP_STATE_COMPLETED)
    sent.event_ids.append("e1")
    sent.end_time.FromMicroseconds(10)
    line.invoke(sent)
    await line.reports(1)
    assert line.seen == [["e1"]]


@pytest.mark.parametrize("apart", range(10))
async def test_acks_that_come_close_together_show_one_end_at_a_time(apart: int) -> None:
    """In the order in which they came, however few rounds lie between them."""
    line = Line(lambda ctx, seen: _race(ctx, seen, "abc"))
    await line.begin(steps=3)
    line.ack("c", "b")
    await rounds(apart)
    line.ack("a")
    await line.reports(1)
    assert line.seen == [{"c"}, {"b"}, {"a"}]


async def test_resolutions_show_one_end_at_a_time_in_their_order() -> None:
    """What tells when it ended is sorted by that."""

    async def sleepers(ctx: Context, seen: list[Any]) -> None:
        async def branch(id_: str) -> None:
            await ctx.step.sleep(id_, 60_000)
            seen.append(id_)

        await asyncio.gather(ctx.step.run("work", nothing), *map(branch, "abc"))

    line = Line(sleepers)
    await line.begin(steps=4)
    for id_, ended_at in (("a", 30), ("b", 10), ("c", 20)):
        line.resolve(id_, ended_at)
    line.ack("work")
    await line.reports(1)
    assert line.seen == ["b", "c", "a"]


async def test_a_result_that_came_live_is_shown_after_all_that_are_recorded() -> None:
    """A sleep that ends during replay has ended after them."""

    async def branches(ctx: Context, seen: list[Any]) -> None:
        async def branch(id_: str, step: Awaitable[Any]) -> None:
            await step
            seen.append(id_)

        await asyncio.gather(
            branch("s", ctx.step.sleep("s", 60_000)),
            *(branch(id_, ctx.step.run(id_, nothing)) for id_ in "ab"),
        )

    line = Line(branches)
    line.invoke(asleep("s#0"), done("b", 10), done("a", 20))
    await rounds(2)
    line.resolve("s", 30)
    await line.reports(1)
    assert line.seen == ["b", "a", "s"]


async def test_the_only_step_that_is_called_is_told_at_once() -> None:
    """Its branch goes on in the very next round."""

    async def steps(ctx: Context, seen: list[Any]) -> None:
        for id_ in "ab":
            await ctx.step.run(id_, nothing)
            seen.append(id_)

    line = Line(steps)
    await line.begin(steps=1)
    line.ack("a")
    await rounds(1)
    assert line.seen == ["a"]


async def test_a_sequence_is_replayed_at_two_rounds_a_step() -> None:
    """One in which other branches could have begun, and one to go on in."""

    async def steps(ctx: Context, seen: list[Any]) -> None:
        for n in range(100):
            await ctx.step.run(f"s{n}", nothing)
            seen.append(n)

    line = Line(steps)
    line.invoke(*(done(f"s{n}", n + 1) for n in range(100)))
    await rounds(202)
    assert len(line.seen) == 100


async def test_a_branch_of_a_nested_gather_has_ended_before_the_next_result() -> None:
    """However many tasks have to tell one another, and though the other branch needs none of them."""

    async def nested(ctx: Context, seen: list[Any]) -> None:
        async def deep(depth: int) -> None:
            if depth:
                await asyncio.gather(deep(depth - 1))
            else:
                await ctx.step.run("deep", nothing)

        async def flat() -> None:
            await ctx.step.run("flat", nothing)

        tasks = {asyncio.ensure_future(flat()): "flat", asyncio.ensure_future(deep(20)): "deep"}
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        seen.append([tasks[task] for task in ended])
        await asyncio.wait(tasks)

    live = Line(nested)
    await live.begin(steps=2)
    await rounds(50)
    live.ack("deep", "flat")
    await live.reports(1)
    again = Line(nested)
    again.invoke(done("deep", 10), done("flat", 20))
    await again.reports(1)
    assert live.seen == again.seen == [["deep"]]


async def test_the_body_of_a_loser_is_not_begun_again() -> None:
    """It was cancelled live: each replay knows that before it begins it. What comes after is done."""

    async def race(ctx: Context, seen: list[Any]) -> None:
        async def charge() -> None:
            seen.append("charge")
            await asyncio.Event().wait()

        await ctx.group.parallel(
            [lambda: ctx.step.run("charge", charge), lambda: ctx.step.run("quick", nothing)], mode="race"
        )
        await ctx.step.run("after", lambda: seen.append("after"))

    line = Line(race)
    line.invoke(done("quick", 10))
    (report,) = await line.reports(1)
    assert (report.step_key, line.seen) == ("after#0", ["after"])


async def test_code_that_awaits_something_of_its_own_is_not_waited_for() -> None:
    """The other branches get their results meanwhile."""
    answer = asyncio.Event()

    async def branches(ctx: Context, seen: list[Any]) -> None:
        async def outside() -> None:
            await answer.wait()
            seen.append("outside")

        async def inside() -> None:
            seen.append(await ctx.step.run("a", nothing))
            seen.append(await ctx.step.run("b", nothing))
            answer.set()

        await asyncio.gather(outside(), inside())

    line = Line(branches)
    line.invoke(done("a", 10), done("b", 20))
    await line.reports(1)
    assert line.seen == [1, 1, "outside"]


async def test_code_that_spins_gets_its_result_nevertheless() -> None:
    """It never comes to rest, as it looks at a task again and again."""

    async def spin(ctx: Context, seen: list[Any]) -> None:
        task = asyncio.ensure_future(ctx.step.run("a", nothing))
        while not task.done():  # noqa: ASYNC110 the habit that is meant
            await asyncio.sleep(0)
        seen.append(await task)

    line = Line(spin)
    line.invoke(done("a", 10))
    await line.reports(1)
    assert line.seen == [1]


async def test_a_run_is_not_parked_while_a_result_is_to_be_told() -> None:
    """Neither a recorded one nor one that came live, beside a sleep that goes on."""

    async def branches(ctx: Context, seen: list[Any]) -> None:
        async def work(id_: str) -> None:
            await ctx.step.run(id_, nothing)
            seen.append(id_)

        await asyncio.gather(ctx.step.sleep("s", 60_000), work("a"), work("b"))

    line = Line(branches)
    line.invoke(asleep("s#0"), done("a", 10))
    assert [report.step_key for report in await line.reports(1)] == ["b#0"]
    assert line.seen == ["a"]
    line.ack("b")
    (park,) = await line.reports(1)
    assert line.seen == ["a", "b"]
    assert list(park.run_parked.blocked_by) == ["s#0"]


async def test_what_is_stopped_hears_of_nothing_more() -> None:
    """A run that is taken away while results are on their way to its branches."""
    line = Line(lambda ctx, seen: _race(ctx, seen, "ab"))
    await line.begin(steps=2)
    line.ack("a", "b")
    line.executor.taken_away([LEASE], "a test")
    await rounds(50)
    assert line.seen == []
    assert line.executor.is_idle
