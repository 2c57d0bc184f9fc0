"""A lineage as a tree, for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

from controlplane.client_commands.show.lineage_tree import Cut, lineage_tree
from controlplane.client_commands.show.pen import Pen
from controlplane.gen.steplane.v1 import payload_pb2, run_pb2
from tests.cli.messages import SECOND, START, event, run, step

SEND = run_pb2.STEP_KIND_SEND_EVENTS
INVOKE = run_pb2.STEP_KIND_INVOKE
Drawn = Callable[..., str]
IsGolden = Callable[[str, str], None]


def test_a_lineage_is_drawn_as_a_tree(drawn: Drawn, is_golden: IsGolden) -> None:
    """Events, runs, steps and child events of every state hang below one another, with times, tries and failures."""
    timeout = payload_pb2.Failure(name="TimeoutError", message="no answer from mail\nwithin 5 s")
    lineage = run_pb2.GetLineageResponse(
        events=[
            event("E1", "shop/order.created"),
            event("E2", "shop/order.paid", source=("R1", "notify#0")),
            event("E3", "shop/stock.low", source=("R1", "notify#0"), trace="f" * 32),
        ],
        runs=[
            run("R1", "shop/checkout", run_pb2.RUN_STATE_COMPLETED, event_id="E1", took=1.24),
            run("R2", "audit/log", run_pb2.RUN_STATE_CANCELLED, event_id="E1", took=75),
            run("R3", "mail/receipt", run_pb2.RUN_STATE_FAILED, event_id="E2", took=61, failure=timeout),
            run("R4", "mail/reminder", run_pb2.RUN_STATE_WAITING, event_id="E2", due=86_400),
            run("R5", "mail/thanks", run_pb2.RUN_STATE_RUNNING, event_id="E2", attempt=2),
            run("R6", "stock/refill", run_pb2.RUN_STATE_QUEUED, event_id="E3", trace="f" * 32),
        ],
        journals=[
            run_pb2.RunJournal(
                run_id="R1",
                entries=[step("charge#0"), step("charge#1"), step("notify#0", kind=SEND, event_ids=("E2", "E3"))],
            ),
            run_pb2.RunJournal(
                run_id="R3",
                entries=[step("mail#0", run_pb2.STEP_STATE_FAILED, took=60, attempts=5, failure=timeout)],
            ),
            run_pb2.RunJournal(
                run_id="R4",
                entries=[
                    step("day#0", run_pb2.STEP_STATE_PENDING, kind=run_pb2.STEP_KIND_SLEEP, took=None, due=86_400)
                ],
            ),
            run_pb2.RunJournal(
                run_id="R5",
                entries=[step("mail#0", run_pb2.STEP_STATE_RETRYING, took=None, due=45, attempts=2, failure=timeout)],
            ),
        ],
    )
    is_golden("lineage", drawn(lineage_tree(lineage, Pen(START + 30 * SECOND, UTC), Cut())))


def test_what_runs_do_with_one_another_is_drawn(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """An invoked run hangs below its step, what was told of a run's end below the run; skips have their reason."""
    failure = payload_pb2.Failure(name="ValueError", message="card declined")
    skipped = payload_pb2.Failure(name="Skipped", message="its rate limit is reached", reason="SKIPPED")
    lineage = run_pb2.GetLineageResponse(
        events=[
            event("E1", "shop/order.created"),
            event("E2", "steplane/function.invoked", source=("R1", "charge#0")),
            event("E3", "steplane/function.failed", source=("R1", "")),
            event("E4", "steplane/function.invoked", source=("R1", "mail#0")),
        ],
        runs=[
            run("R1", "shop/checkout", run_pb2.RUN_STATE_FAILED, event_id="E1", took=1, failure=failure),
            run("R2", "audit/log", run_pb2.RUN_STATE_SKIPPED, event_id="E1", took=0, failure=skipped),
            run("R3", "shop/charge", run_pb2.RUN_STATE_COMPLETED, event_id="E2", event_ids=("E2", "E4"), took=1),
            run("R4", "shop/checkout-on-failure", run_pb2.RUN_STATE_COMPLETED, event_id="E3", took=2),
        ],
        journals=[
            run_pb2.RunJournal(
                run_id="R1",
                entries=[
                    step("paid#0", kind=run_pb2.STEP_KIND_WAIT_FOR_EVENT, target="shop/paid"),
                    step("charge#0", kind=INVOKE, target="shop/charge", event_ids=("E2",), run_id="R3"),
                    step("wake#0", kind=run_pb2.STEP_KIND_SEND_SIGNAL, target="order-1", run_id="R9"),
                    step("mail#0", kind=INVOKE, target="shop/charge", event_ids=("E4",), run_id="R3"),
                ],
            )
        ],
    )
    is_golden("lineage_invoked", drawn(lineage_tree(lineage, pen, Cut())))


def test_a_lineage_may_begin_with_the_end_of_a_run(drawn: Drawn, pen: Pen) -> None:
    """An event that the server told is shown with the run that it is about."""
    lineage = run_pb2.GetLineageResponse(events=[event("E1", "steplane/function.failed", source=("R1", ""))])
    assert "told of the end of run R1" in drawn(lineage_tree(lineage, pen, Cut()))


def _fan_out(count: int, state: run_pb2.RunState = run_pb2.RUN_STATE_COMPLETED) -> run_pb2.GetLineageResponse:
    """One run whose step sent so many events, each of which started a run."""
    ids = tuple(f"E{number}" for number in range(1, count + 1))
    return run_pb2.GetLineageResponse(
        events=[event("E0", "cron"), *(event(id_, "mail/send", source=("R0", "fan-out#0")) for id_ in ids)],
        runs=[
            run("R0", "mail/load", run_pb2.RUN_STATE_COMPLETED, event_id="E0", took=1),
            *(run(f"R-{id_}", "mail/send", state, event_id=id_, took=2) for id_ in ids),
        ],
        journals=[run_pb2.RunJournal(run_id="R0", entries=[step("fan-out#0", kind=SEND, event_ids=ids)])],
    )


def test_a_wide_fan_out_is_cut_and_counted(drawn: Drawn, pen: Pen) -> None:
    """Of many events below a step the first are drawn; the others are counted, with the states of their runs."""
    lines = drawn(lineage_tree(_fan_out(100), pen, Cut(children=3))).splitlines()
    assert sum("mail/send  E" in line for line in lines) == 3
    assert lines[-1].strip() == "└── … 97 more events, their runs: 97 completed (--children)"


def test_a_cut_of_zero_cuts_nothing(drawn: Drawn, pen: Pen) -> None:
    """With 0 every event is drawn."""
    text = drawn(lineage_tree(_fan_out(100), pen, Cut(children=0)))
    assert text.count("mail/send  E") == 100
    assert "more" not in text


def test_steps_that_tell_nothing_are_cut(drawn: Drawn, pen: Pen) -> None:
    """Of many completed steps the first are drawn; one that failed or sent events is always drawn."""
    steps = [step(f"s{number}#0") for number in range(50)]
    steps.append(step("bad#0", run_pb2.STEP_STATE_FAILED))
    lineage = run_pb2.GetLineageResponse(
        events=[event("E0", "go")],
        runs=[run("R0", "a/f", run_pb2.RUN_STATE_FAILED, event_id="E0", took=1)],
        journals=[run_pb2.RunJournal(run_id="R0", entries=steps)],
    )
    text = drawn(lineage_tree(lineage, pen, Cut(children=5)))
    assert "s4 " in text
    assert "s5 " not in text
    assert "✘ bad" in text
    assert "… 45 more steps: 45 completed" in text


def test_a_chain_of_any_depth_can_be_drawn(drawn: Drawn, pen: Pen) -> None:
    """A function that sends the event that starts it again, 3,000 times, is no deeper than the cut."""
    numbers = range(3_000)
    lineage = run_pb2.GetLineageResponse(
        events=[event("E0", "again")] + [event(f"E{n + 1}", "again", source=(f"R{n}", "send#0")) for n in numbers],
        runs=[run(f"R{n}", "a/again", run_pb2.RUN_STATE_COMPLETED, event_id=f"E{n}", took=1) for n in numbers],
        journals=[run_pb2.RunJournal(run_id=f"R{n}", entries=[step("send#0", kind=SEND)]) for n in numbers],
    )
    lines = drawn(lineage_tree(lineage, pen, Cut(depth=4)), width=200).splitlines()
    assert sum("a/again" in line for line in lines) == 4
    assert lines[-1].strip() == "└── … 1 event, their runs: 1 completed (--depth)"


def test_an_event_id_that_came_back_is_no_circle(drawn: Drawn, pen: Pen) -> None:
    """A run whose step sends an event with its own event's id is drawn once."""
    lineage = run_pb2.GetLineageResponse(
        events=[event("E0", "again"), event("E0", "again", source=("R0", "send#0"))],
        runs=[run("R0", "a/again", run_pb2.RUN_STATE_COMPLETED, event_id="E0", took=1)],
        journals=[run_pb2.RunJournal(run_id="R0", entries=[step("send#0", kind=SEND, event_ids=("E0",))])],
    )
    assert drawn(lineage_tree(lineage, pen, Cut(depth=0))).count("a/again") == 1


def test_an_event_without_runs_says_so(drawn: Drawn, pen: Pen) -> None:
    """A root that started nothing says that it did not."""
    lineage = run_pb2.GetLineageResponse(events=[event("E0", "nobody/cares")])
    assert "it started no run" in drawn(lineage_tree(lineage, pen, Cut()))


def test_a_truncated_lineage_says_so(drawn: Drawn, pen: Pen) -> None:
    """If the server held back more than the limit the tree names the option."""
    lineage = _fan_out(1)
    lineage.truncated = True
    assert "--limit" in drawn(lineage_tree(lineage, pen, Cut()))


def test_a_terminal_without_unicode_gets_ascii(pen: Pen, drawn: Drawn) -> None:
    """Every mark has a form in ASCII."""
    text = drawn(lineage_tree(_fan_out(2), pen._replace(is_ascii=True), Cut()))
    assert "* mail/send" in text
    assert "+ mail/load" in text
    assert "✔" not in text


def test_names_cannot_steer_the_terminal(drawn: Drawn, pen: Pen) -> None:
    """Control characters in names are spelled out, and markup is left as it is."""
    lineage = run_pb2.GetLineageResponse(events=[event("E\x1b[2J", "[red]x\x9b2J")])
    text = drawn(lineage_tree(lineage, pen, Cut()))
    assert "[red]x\\x9b2J" in text
    assert "E\\x1b[2J" in text
