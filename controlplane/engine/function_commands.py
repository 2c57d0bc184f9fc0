"""What the commands about functions do in a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core.definition import CronTrigger, Definition, EventTrigger, FunctionRow, FunctionState
from controlplane.core.match import FunctionTable
from controlplane.engine.commands import Registered, RegisterFunction, SetFunctionState
from controlplane.engine.run_commands import find_function, tick_timer
from controlplane.errors import FailedPrecondition

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn


def register_function(turn: Turn, command: RegisterFunction) -> Registered:
    """Store a definition, if it changed anything, and set its schedules' next ticks."""
    definition = command.definition
    before = turn.functions.by_name.get((command.namespace, definition.app_id, definition.function_id))
    warnings = tuple(_warnings(definition))
    is_deleted = before is not None and before.state is FunctionState.DELETED
    if before is not None and before.definition == definition and not is_deleted:
        return Registered(before.version, warnings)
    row = turn.tx.upsert_function(
        FunctionRow(
            key=before.key if before else 0,
            namespace=command.namespace,
            definition=definition,
            version=before.version + 1 if before else 1,
            created_at=before.created_at if before else turn.now,
            updated_at=turn.now,
            state=before.state if before and not is_deleted else FunctionState.ACTIVE,
        )
    )
    ticks = [
        tick_timer(trigger, row.key, turn.now)
        for trigger in dict.fromkeys(definition.triggers)
        if isinstance(trigger, CronTrigger)
    ]
    turn.tx.replace_cron_timers(row.key, ticks)
    turn.timers_set.extend(tick.due_at for tick in ticks)
    _replace(turn, row)
    return Registered(row.version, warnings)


def set_state(turn: Turn, command: SetFunctionState) -> None:
    """Pause, disable or delete a function, or let it go on."""
    function = find_function(turn, command.namespace, command.app_id, command.function_id)
    if command.state is FunctionState.DELETED and turn.sessions.table.count_serving(function.key):
        raise FailedPrecondition(
            f"function {command.function_id!r} is served by a live worker; stop its workers first", reason="IS_SERVED"
        )
    if function.state is not command.state:
        _replace(turn, turn.tx.upsert_function(function._replace(state=command.state)))


def _replace(turn: Turn, row: FunctionRow) -> None:
    """Let the turn know a function's new values."""
    turn.functions = FunctionTable([*turn.functions.by_key.values(), row])
    turn.d.functions = turn.functions.by_key
    turn.d.functions_by_name = turn.functions.by_name


def _warnings(definition: Definition) -> list[str]:
    warnings = []
    if len(set(definition.triggers)) < len(definition.triggers):
        warnings.append("a trigger is given twice: it counts once")
    if any(isinstance(trigger, EventTrigger) and trigger.event == "*" for trigger in definition.triggers):
        warnings.append('the trigger "*" starts the function for every event, its own children too')
    if definition.retry.retries == 0:
        warnings.append("retries is 0: the first failure of a step is final")
    return warnings
