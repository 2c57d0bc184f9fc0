"""Branches that race, on a real server: the first to end is the same in every replay, however the code is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from controlplane.gen.steplane.v1 import run_pb2
from steplane import Context, ContextSync, NonRetriableError, StepError
from tests.sdk_py.house import House, on

SECONDS_MAX = 60

SLOW, FAST, AFTER = 60, 20, 100
"""Milliseconds; the last one is long enough for the loser of a race to end before the replay."""

Race = Callable[[Context, list[Callable[[], Awaitable[str]]]], Awaitable[str]]


async def by_group(ctx: Context, branches: list[Callable[[], Awaitable[str]]]) -> str:
    """The group's own race."""
    return await ctx.group.parallel(branches, mode="race")


async def by_wait(_ctx: Context, branches: list[Callable[[], Awaitable[str]]]) -> str:
    """As one writes it with asyncio alone; nobody cancels the loser."""
    tasks = [asyncio.ensure_future(branch()) for branch in branches]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1, "the code sees one end at a time"
    return done.pop().result()


@pytest.fixture(autouse=True)
async def _in_time() -> AsyncIterator[None]:
    """No test waits for ever."""
    async with asyncio.timeout(SECONDS_MAX):
        yield


@pytest.mark.parametrize("order", [("slow", "fast"), ("fast", "slow")])
@pytest.mark.parametrize("race", [by_group, by_wait])
async def test_a_race_has_the_same_winner_in_every_replay(house: House, race: Race, order: tuple[str, str]) -> None:
    """Also when the loser has ended as well, whichever was asked for first."""
    winners: list[str] = []
    lengths = {"slow": SLOW, "fast": FAST}

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def function(ctx: Context) -> str:
        async def branch(name: str) -> str:
            await ctx.step.sleep(name, lengths[name])
            return name

        winner = await race(ctx, [lambda name=name: branch(name) for name in order])  # type: ignore[misc]  # a default
        winners.append(winner)
        await ctx.step.sleep("after", AFTER)
        return winner

    async with house.worker():
        run = await house.run_of(await house.send("app/a"))
    journal = await house.journal(run.id)

    assert run.output.data == b'"fast"'
    assert set(winners) == {"fast"}
    assert len(winners) >= 2, "there was a replay"
    assert journal["slow#0"].state == run_pb2.STEP_STATE_COMPLETED


@pytest.mark.parametrize("order", [("late", "early"), ("early", "late")])
@pytest.mark.parametrize("race", [by_group, by_wait])
async def test_all_branches_may_end_while_nobody_works_on_the_run(
    house: House, race: Race, order: tuple[str, str]
) -> None:
    """The code hears of both from the journal, and takes the one that was first; so does each replay after that."""
    winners: list[str] = []

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def function(ctx: Context) -> str:
        async def branch(name: str) -> str:
            await ctx.step.wait_for_signal(name, signal=name)
            return name

        winners.append(await race(ctx, [lambda name=name: branch(name) for name in order]))  # type: ignore[misc]
        await ctx.step.sleep("after", FAST)
        return winners[-1]

    async with house.worker():
        event_id = await house.send("app/a")
        await house.parked(event_id)
    await house.client.send_signal("early")
    await house.client.send_signal("late")
    assert winners == []
    async with house.worker():
        run = await house.run_of(event_id)
    assert run.output.data == b'"early"'
    assert winners == ["early", "early"]


async def test_the_first_to_fail_wins_as_well(house: House) -> None:
    """What it raises is raised; the step of the other one stays as it is."""

    @house.client.create_function(fn_id="f", trigger=on("app/a"), retries=0)
    async def function(ctx: Context) -> None:
        async def fail() -> None:
            await ctx.step.sleep("short", FAST)
            raise NonRetriableError("too late")

        await ctx.group.parallel([lambda: ctx.step.sleep("long", 3_600_000), fail], mode="race")

    async with house.worker():
        run = await house.run_of(await house.send("app/a"))
    assert (run.state, run.failure.message) == (run_pb2.RUN_STATE_FAILED, "too late")


async def test_a_failed_step_wins_in_every_replay(house: House) -> None:
    """Beside a branch that ends well later, and was asked for first."""
    seen: list[str] = []

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def function(ctx: Context) -> str:
        def fail() -> None:
            raise NonRetriableError("no")

        async def failing() -> str:
            await ctx.step.sleep("short", FAST)
            await ctx.step.run("fail", fail)
            return "never"

        async def fine() -> str:
            await ctx.step.sleep("long", 3_600_000)
            return "fine"

        try:
            result = await ctx.group.parallel([fine, failing], mode="race")
        except StepError as error:
            result = error.message
        seen.append(result)
        await ctx.step.sleep("after", AFTER)
        return result

    async with house.worker():
        run = await house.run_of(await house.send("app/a"))
    assert run.output.data == b'"no"'
    assert set(seen) == {"no"}
    assert len(seen) >= 2, "there was a replay"


async def test_steps_in_a_race_may_have_branches_of_their_own(house: House) -> None:
    """A gather inside a branch, beside a wait that is not met; no step runs twice."""
    executed: list[str] = []

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def function(ctx: Context) -> Any:
        async def both() -> list[str]:
            async def one(name: str) -> str:
                await ctx.step.sleep(f"before {name}", FAST)
                return await ctx.step.run(name, lambda: executed.append(name) or name)

            return await asyncio.gather(one("a"), one("b"))

        async def answer() -> Any:
            return await ctx.step.wait_for_event("answer", event="app/never", timeout=3_600_000)

        result = await ctx.group.parallel([answer, both], mode="race")
        await ctx.step.sleep("after", FAST)
        return result

    async with house.worker():
        run = await house.run_of(await house.send("app/a"))
    assert run.output.data == b'["a","b"]'
    assert sorted(executed) == ["a", "b"]


async def test_who_needs_no_answer_any_more_is_parked_without_it(house: House) -> None:
    """The wait of a loser keeps the run neither awake nor from ending."""

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    async def function(ctx: Context) -> str:
        async def answer() -> str:
            await ctx.step.wait_for_signal("answer", signal="never", timeout=3_600_000)
            return "answered"

        async def give_up() -> str:
            await ctx.step.sleep("patience", FAST)
            return "given up"

        result = await ctx.group.parallel([answer, give_up], mode="race")
        await ctx.step.sleep("after", FAST)
        return result

    async with house.worker(slots=1):
        run = await house.run_of(await house.send("app/a"))
    assert run.output.data == b'"given up"'


async def test_a_plain_function_can_t_race(house: House) -> None:
    """The error says what to do."""

    @house.client.create_function(fn_id="f", trigger=on("app/a"))
    def function(ctx: ContextSync) -> None:
        ctx.group.parallel([lambda: None], mode="race")  # type: ignore[arg-type]  # the mistake

    async with house.worker():
        run = await house.run_of(await house.send("app/a"))
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert "make it `async def`" in run.failure.message
