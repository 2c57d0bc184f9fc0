"""Hands ready runs out to sessions with free slots, in the transaction that made them ready.

Functions take turns: each first gets an equal share of the free slots, then what is left, and the one that was given least
goes first the next time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core.dispatch import Taker, assign
from controlplane.core.limits import MIB
from controlplane.core.records import EventRow, Invocation, RunRow
from controlplane.engine.sessions import Session

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn

#: Journals read in one turn, so that many large runs can't fill the memory at once.
_JOURNAL_BYTES_MAX = 64 * MIB
#: Runs handed out in one turn, each with an event of up to half a mebibyte.
_CLAIM_MAX = 500


def hand_out(turn: Turn) -> None:
    """Lease what can be leased, write it, and add the invocations to the deliveries."""
    claims: dict[int, list[RunRow]] = {}
    takers: dict[str, Taker] = {}
    serving: dict[int, list[Taker]] = {}
    limits: dict[int, int] = {}
    for function_key in turn.ready:
        sessions = turn.sessions.serving(function_key)
        if not sessions:
            continue
        serving[function_key] = [_taker(takers, session) for session in sessions]
        free = sum(session.free for session in sessions)
        limit = limits[function_key] = min(free, _CLAIM_MAX)
        claims[function_key] = turn.tx.claim_ready(function_key, limit)
        turn.has_more |= len(claims[function_key]) == limit < free
    left = dict(claims)
    leased = _share_out(turn, left, serving, sum(taker.free for taker in takers.values()))
    for function_key, claimed in sorted(claims.items(), key=lambda item: len(item[1]) - len(left[item[0]])):
        del turn.ready[function_key]
        if left[function_key] or len(claimed) == limits[function_key]:
            turn.ready[function_key] = None
    if leased:
        turn.tx.update_runs(leased)
        _invoke(turn, leased)


def _taker(takers: dict[str, Taker], session: Session) -> Taker:
    session_id = session.row.id
    taker = takers.get(session_id)
    if taker is None:
        taker = takers[session_id] = Taker(session_id, session.free)
    return taker


def _share_out(turn: Turn, left: dict[int, list[RunRow]], serving: dict[int, list[Taker]], free: int) -> list[RunRow]:
    """Lease what there is room for, and leave the rest in `left`."""
    leased: list[RunRow] = []
    budget = _JOURNAL_BYTES_MAX
    share = max(1, free // max(1, sum(1 for runs in left.values() if runs)))
    for round_share in (share, None) if len(left) > 1 else (None,):
        for function_key, runs in left.items():
            given: list[RunRow] = []
            for run in runs[:round_share]:
                budget -= run.journal_bytes
                if budget < 0 and (leased or given):
                    turn.has_more = True
                    break
                given.append(run)
            given = assign(given, serving[function_key], turn.now)
            leased += given
            left[function_key] = runs[len(given) :]
    return leased


def _invoke(turn: Turn, leased: list[RunRow]) -> None:
    fresh = {event.key: event for event in turn.d.new_events}
    events: dict[int, EventRow] = fresh
    wanted = {run.event_key for run in leased if run.event_key not in fresh}
    if wanted:
        events = fresh | turn.tx.events(wanted)
    journals = turn.tx.journals([run.id for run in leased if run.step_count])
    by_key = turn.functions.by_key
    for run in leased:
        definition = by_key[run.function_key].definition
        session_id = run.session_id or ""
        turn.delivery(session_id).invocations.append(
            Invocation(
                run,
                definition.function_id,
                (events[run.event_key],),
                tuple(journals.get(run.id, ())),
                definition.retry.retries + 1,
            )
        )
        session = turn.sessions.edit(session_id)
        if session is not None:
            session.invocations_sent += 1
