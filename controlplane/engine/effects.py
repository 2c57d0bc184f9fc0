"""What leaves the process after a commit, and only then.

`Committed` can be had from `commit` alone, and `release` takes nothing else: an acknowledgement that is not on disk is a
type error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.engine.hub import RunHub
from controlplane.engine.mailbox import Mailbox, Queued
from controlplane.engine.outbox import Delivery, Outbox
from controlplane.engine.turn import Memory, Turn
from controlplane.store.interface import Tx


@dataclass(frozen=True, slots=True)
class Committed:
    """The effects of a turn that is on disk."""

    queued: list[Queued]
    answers: list[Any]
    deliveries: list[tuple[Outbox, Delivery]]
    changed_runs: list[str]
    next_timer: int | None


def commit(tx: Tx, turn: Turn, memory: Memory, queued: list[Queued]) -> Committed:
    """Make a turn durable, then let its changes of memory take effect."""
    tx.commit()
    memory.functions = turn.functions
    memory.sessions.apply(turn.sessions.changed)
    deliveries = []
    for session_id, delivery in turn.deliveries.items():
        session = memory.sessions.get(session_id)
        outbox = session.outbox if session is not None else turn.farewells.get(session_id)
        if outbox is not None:
            deliveries.append((outbox, delivery))
    due = [timer.due_at for timer in turn.d.new_timers] + turn.timers_set
    changed = [*turn.d.changed_runs, *(i.run.id for d in turn.deliveries.values() for i in d.invocations)]
    return Committed(queued, turn.answers, deliveries, changed, min(due, default=None))


def release(committed: Committed, mailbox: Mailbox, hub: RunHub, on_timer: Callable[[int], None]) -> None:
    """Let the effects of a commit be seen; on the event loop's thread."""
    for (_, future), answer in zip(committed.queued, committed.answers, strict=True):
        if future is None or future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
    for outbox, delivery in committed.deliveries:
        outbox.deliver(delivery)
    if hub.is_watched:
        hub.notify(committed.changed_runs)
    if committed.next_timer is not None:
        on_timer(committed.next_timer)
    mailbox.made_room(committed.queued)
