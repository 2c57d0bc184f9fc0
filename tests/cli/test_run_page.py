"""One run, for people."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.client_commands.show.pen import Pen
from controlplane.client_commands.show.run_page import progress_line, run_page
from controlplane.gen.steplane.v1 import payload_pb2, run_pb2
from tests.cli.messages import run, step

Drawn = Callable[..., str]
IsGolden = Callable[[str, str], None]
COMPLETED = run_pb2.RUN_STATE_COMPLETED


def test_a_completed_run_is_shown_with_steps_and_output(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """Details, a row a step, and the output as JSON."""
    steps = [
        step("fetch-users#0", output=b'[{"id": 1}, {"id": 2}]'),
        step("nap#0", kind=run_pb2.STEP_KIND_SLEEP, took=2),
        step("fan-out#0", kind=run_pb2.STEP_KIND_SEND_EVENTS, event_ids=("E2", "E3")),
    ]
    shown = run(
        "R1", "mail/load", COMPLETED, event_id="E1", took=2.5, output='{"count": 2, "to": "ü"}'.encode(), steps=3
    )
    is_golden("run_completed", drawn(run_page(shown, steps, pen)))


def test_a_failed_run_is_shown_with_its_failure(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """The failure has its step, its message and its stack."""
    failure = payload_pb2.Failure(
        name="ValueError",
        message="no such user",
        stack="Traceback:\n  line 1\nValueError: no such user",
        step_key="load#0",
    )
    steps = [step("load#0", run_pb2.STEP_STATE_FAILED, attempts=5, took=60, failure=failure)]
    shown = run("R1", "mail/send", run_pb2.RUN_STATE_FAILED, event_id="E1", took=61, failure=failure, steps=1)
    is_golden("run_failed", drawn(run_page(shown, steps, pen)))


def test_steps_that_wait_say_for_what(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """Waits have what they wait for and until when; invocations and signals have the other run."""
    pending = run_pb2.STEP_STATE_PENDING
    taken = payload_pb2.Failure(name="SignalReplaced", message="run R9 waits in its place", reason="SIGNAL_REPLACED")
    steps = [
        step("paid#0", kind=run_pb2.STEP_KIND_WAIT_FOR_EVENT, target="shop/paid", output=b'{"id": "E2"}'),
        step("late#0", kind=run_pb2.STEP_KIND_WAIT_FOR_EVENT, target="shop/late", output=b"null", took=60),
        step("wait#0", pending, kind=run_pb2.STEP_KIND_WAIT_FOR_EVENT, target="a/x, a/y", took=None, due=86_400),
        step(
            "tax#0",
            kind=run_pb2.STEP_KIND_INVOKE,
            target="shop/tax",
            run_id="01JH3Z8V6T0000000000000007",
            event_ids=("E3",),
            output=b"12.5",
        ),
        step("ship#0", pending, kind=run_pb2.STEP_KIND_INVOKE, target="shop/ship", took=None),
        step("ok#0", run_pb2.STEP_STATE_FAILED, kind=run_pb2.STEP_KIND_WAIT_FOR_SIGNAL, target="ok-1", failure=taken),
        step(
            "wake#0",
            kind=run_pb2.STEP_KIND_SEND_SIGNAL,
            target="ok-2",
            run_id="01JH3Z8V6T0000000000000008",
            output=b'"01JH3Z8V6T0000000000000008"',
        ),
    ]
    shown = run("R1", "shop/checkout", run_pb2.RUN_STATE_WAITING, event_id="E1", steps=7)
    is_golden("run_waiting", drawn(run_page(shown, steps, pen)))


def test_a_replay_of_a_batch_is_shown_with_where_it_came_from(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """The events of its batch, the run that it replays, and leases that came to nothing."""
    gone = payload_pb2.Failure(name="SetAside", message="5 workers were lost while they had it", reason="SET_ASIDE")
    shown = run(
        "R2",
        "shop/sum",
        run_pb2.RUN_STATE_SET_ASIDE,
        event_id="E1",
        event_ids=("E1", "E2", "E3"),
        replay_of="R1",
        deliveries=5,
        failure=gone,
    )
    is_golden("run_set_aside", drawn(run_page(shown, [], pen)))


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (run_pb2.RUN_NEED_WORKER, "queued, waits for a worker, for 3 min 12 s"),
        (run_pb2.RUN_NEED_RESUME, "queued, its function is paused, for 3 min 12 s"),
        (run_pb2.RUN_NEED_TURN, "queued, waits for its turn, for 3 min 12 s"),
    ],
)
def test_a_queued_run_says_what_it_waits_for(drawn: Drawn, pen: Pen, need: run_pb2.RunNeed, words: str) -> None:
    """What it needs, and since when."""
    shown = run("R1", "a/b", run_pb2.RUN_STATE_QUEUED, event_id="E1", need=need, queued=600 - 192)
    assert words in drawn(run_page(shown, [], pen))


@pytest.mark.parametrize(("queued", "words"), [(-600, "for 10 min"), (900, "for 0.0 ms")])
def test_a_run_that_was_moved_in_the_queue_never_waited_before_it_was_made(
    drawn: Drawn, pen: Pen, queued: float, words: str
) -> None:
    """A priority moves the moment that its queue counts from; how long it waits stays sensible."""
    need = run_pb2.RUN_NEED_TURN
    shown = run("R1", "a/b", run_pb2.RUN_STATE_QUEUED, event_id="E1", need=need, queued=queued)
    assert f"waits for its turn, {words}\n" in drawn(progress_line(shown, pen))


def test_a_skipped_run_says_why(drawn: Drawn, pen: Pen) -> None:
    """It ended before it began, so there is no time to tell but a reason."""
    failure = payload_pb2.Failure(name="Skipped", message="its rate limit is reached", reason="SKIPPED")
    shown = run("R1", "a/b", run_pb2.RUN_STATE_SKIPPED, event_id="E1", took=0, failure=failure)
    assert drawn(progress_line(shown, pen)) == "↷ a/b  R1  skipped · Skipped: its rate limit is reached\n"
    assert "failure  SKIPPED" in drawn(run_page(shown, [], pen))


def test_steps_that_were_not_read_are_counted(drawn: Drawn, pen: Pen) -> None:
    """A page of fewer steps than the run has says how many are missing, and which option shows them."""
    shown = run("R1", "mail/send", COMPLETED, event_id="E1", took=1, steps=12)
    assert "… 10 more steps: --limit" in drawn(run_page(shown, [step("a#0"), step("b#0")], pen))


def test_an_output_of_many_lines_is_cut(drawn: Drawn, pen: Pen) -> None:
    """An output goes on for 100 lines, and says how to get all of it."""
    output = b"[" + b",".join(b"%d" % number for number in range(200)) + b"]"
    text = drawn(run_page(run("R1", "a/b", COMPLETED, event_id="E1", took=1, output=output), [], pen))
    assert "… 102 more lines; all of them: --json" in text
    assert "150" not in text


def test_an_output_that_is_no_json_is_shown_as_bytes(drawn: Drawn, pen: Pen) -> None:
    """A value in another encoding is shown with its encoding, in base64."""
    shown = run("R1", "a/b", COMPLETED, event_id="E1", took=1)
    shown.output.CopyFrom(payload_pb2.Payload(data=b"\x00\x01", encoding="binary"))
    text = drawn(run_page(shown, [], pen))
    assert '"encoding": "binary"' in text
    assert '"base64": "AAE="' in text


def test_a_run_in_one_line(drawn: Drawn, pen: Pen) -> None:
    """While somebody waits a run is one line: mark, function, id, state and for how long."""
    shown = run("R1", "mail/load", run_pb2.RUN_STATE_RUNNING, event_id="E1")
    assert drawn(progress_line(shown, pen)) == "▶ mail/load  R1  running, 10 min so far\n"


def test_a_state_of_a_newer_server_is_shown_as_unknown(drawn: Drawn, pen: Pen) -> None:
    """A state that this command line does not know breaks nothing."""
    shown = run("R1", "mail/load", COMPLETED, event_id="E1")
    shown.state = 99  # type: ignore[assignment]  # what a newer server may send
    assert "? mail/load  R1  unknown" in drawn(progress_line(shown, pen))


def test_a_narrow_terminal_cuts_results_only(drawn: Drawn, pen: Pen) -> None:
    """Names and states of steps are there at 80 columns; long outputs give way."""
    steps = [step("fetch-all-the-users#0", output=b'"' + b"x" * 200 + b'"')]
    lines = drawn(run_page(run("R1", "a/b", COMPLETED, event_id="E1", took=1, steps=1), steps, pen), width=80)
    (line,) = [line for line in lines.splitlines() if "fetch" in line]
    assert line.startswith("✔  fetch-all-the-users  run   +100 ms  12 ms   ")
    assert line.endswith("x…")
