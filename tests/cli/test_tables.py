"""Lists as tables, for people."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controlplane.client_commands.show.pen import Pen
from controlplane.client_commands.show.tables import events_table, functions_table, runs_table
from controlplane.gen.steplane.v1 import function_pb2, run_pb2
from tests.cli.messages import at, event, run

Drawn = Callable[..., str]
IsGolden = Callable[[str, str], None]
RUNS = [
    run(
        "01JH3Z8V6T0000000000000001",
        "shop/checkout",
        run_pb2.RUN_STATE_COMPLETED,
        event_id="order-1",
        took=1.2,
        steps=3,
    ),
    run("01JH3Z8V6T0000000000000002", "mail/send-weekly-activity", run_pb2.RUN_STATE_RUNNING, event_id="order-1"),
]
EVENTS = [
    event("01JH3Z8V6T0000000000000003", "shop/order.paid", source=("01JH3Z8V6T0000000000000001", "notify#1")),
    event("01JH3Z8V6T0000000000000004", "steplane/function.failed", source=("01JH3Z8V6T0000000000000001", "")),
    event("order-1", "shop/order.created"),
]


@pytest.mark.parametrize("width", [100, 160])
def test_runs_are_a_table(drawn: Drawn, is_golden: IsGolden, pen: Pen, width: int) -> None:
    """A row a run; a wide terminal shows the event and the time of day too."""
    is_golden(f"runs_{width}", drawn(runs_table(RUNS, pen, width), width=width))


@pytest.mark.parametrize("width", [100, 160])
def test_events_are_a_table(drawn: Drawn, is_golden: IsGolden, pen: Pen, width: int) -> None:
    """A row an event, with who sent it; a wide terminal shows the data too."""
    is_golden(f"events_{width}", drawn(events_table(EVENTS, pen, width), width=width))


def test_ids_are_never_cut(drawn: Drawn, pen: Pen) -> None:
    """On a narrow terminal what gives way is not an id."""
    assert RUNS[0].id in drawn(runs_table(RUNS, pen, 80), width=80)


def test_functions_are_a_table(drawn: Drawn, is_golden: IsGolden, pen: Pen) -> None:
    """A row a function, with all its triggers, its state, and whether any worker serves it."""
    functions = [
        function_pb2.Function(
            definition=function_pb2.FunctionDefinition(
                app_id="mail",
                function_id="load",
                triggers=[
                    function_pb2.Trigger(cron=function_pb2.CronTrigger(cron="0 12 * * 5", time_zone="Europe/Vienna")),
                    function_pb2.Trigger(
                        event=function_pb2.EventTrigger(event="mail/*", expression="event.data.n > 1")
                    ),
                ],
                retry=function_pb2.RetryPolicy(retries=4),
            ),
            version=2,
            update_time=at(0),
            live_sessions=live,
            state=state,
        )
        for live, state in (
            (0, function_pb2.FUNCTION_STATE_DISABLED),
            (3, function_pb2.FUNCTION_STATE_ACTIVE),
            (1, function_pb2.FUNCTION_STATE_PAUSED),
        )
    ]
    is_golden("functions", drawn(functions_table(functions, pen, 100), width=100))
