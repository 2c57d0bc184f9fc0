"""The mailbox is bounded: callers are refused, streams wait, and time always gets in."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.core.limits import Limits
from controlplane.engine.commands import ExpireSessions
from controlplane.engine.mailbox import Mailbox
from controlplane.errors import Saturated, Stopping
from tests.engine.conftest import events


async def test_a_full_mailbox_refuses_callers() -> None:
    """At the bound a command is still taken; one past it is not."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits(mailbox_commands_max=2))
    mailbox.submit(events("e1"))
    mailbox.submit(events("e2"))

    with pytest.raises(Saturated):
        mailbox.submit(events("e3"))

    assert len(mailbox.take(10)) == 2


async def test_bytes_count_too() -> None:
    """Until the commands that have them are done, not just taken."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits(mailbox_bytes_max=1000))
    mailbox.submit(events("e1", size=1000))
    taken = mailbox.take(10)
    with pytest.raises(Saturated):
        mailbox.submit(events("e2"))
    mailbox.made_room(taken)

    mailbox.submit(events("e2"))


async def test_a_stream_waits_for_room() -> None:
    """It is not read meanwhile; once there is room, its command is in."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits(mailbox_commands_max=1))
    mailbox.submit(events("e1"))
    posting = asyncio.create_task(mailbox.post(events("e2")))
    await asyncio.sleep(0)
    assert not posting.done()
    mailbox.made_room(mailbox.take(10))
    await posting

    assert [command.events[0].id for command, _ in mailbox.take(10)] == ["e2"]  # type: ignore[union-attr]  # both send


async def test_time_always_gets_in() -> None:
    """The server's own commands are few, and never refused."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits(mailbox_commands_max=1))
    mailbox.submit(events("e1"))
    mailbox.submit_internal(ExpireSessions())

    assert len(mailbox.take(10)) == 2


async def test_workers_may_report_while_the_server_stops() -> None:
    """What is closed to callers takes single reports still, as long as there is room; closed, it does not."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits(mailbox_commands_max=1))
    mailbox.close_to_callers()
    with pytest.raises(Stopping):
        mailbox.submit(events("e1"))
    mailbox.submit_report(events("e2"))
    with pytest.raises(Saturated):
        mailbox.submit_report(events("e3"))
    mailbox.close()
    with pytest.raises(Stopping):
        mailbox.submit_report(events("e4"))

    assert len(mailbox.take(10)) == 1


async def test_a_closed_mailbox_takes_nothing_from_outside() -> None:
    """Neither from callers, nor from streams that wait."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits(mailbox_commands_max=1))
    mailbox.submit(events("e1"))
    posting = asyncio.create_task(mailbox.post(events("e2")))
    await asyncio.sleep(0)
    mailbox.close()

    with pytest.raises(Stopping):
        await posting
    with pytest.raises(Stopping):
        mailbox.submit(events("e3"))


async def test_a_turn_takes_no_more_than_it_may() -> None:
    """The rest stays, in order, for the next one."""
    mailbox = Mailbox(asyncio.get_running_loop(), Limits())
    for number in range(5):
        mailbox.submit(events(f"e{number}"))

    assert [len(mailbox.take(2)) for _ in range(4)] == [2, 2, 1, 0]
