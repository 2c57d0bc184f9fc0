"""What the commands about functions do in a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.core.definition import CronTrigger, Definition, EventTrigger, FunctionRow
from controlplane.core.match import FunctionTable
from controlplane.engine.commands import Registered, RegisterFunction
from controlplane.engine.run_commands import tick_timer

if TYPE_CHECKING:
    from controlplane.engine.turn import Turn


def register_function(turn: Turn, command: RegisterFunction) -> Registered:
    """Store a definition, if it changed anything, and set its schedules' next ticks."""
    definition = command.definition
    before = turn.functions.by_name.get((command.namespace, definition.app_id, definition.function_id))
    warnings = tuple(_warnings(definition))
    if before is not None and before.definition == definition:
        return Registered(before.version, warnings)
    row = turn.tx.upsert_function(
        FunctionRow(
            key=before.key if before else 0,
            namespace=command.namespace,
            definition=definition,
            version=before.version + 1 if before else 1,
            created_at=before.created_at if before else turn.now,
            updated_at=turn.now,
        )
    )
    ticks = [
        tick_timer(trigger, row.key, turn.now)
        for trigger in dict.fromkeys(definition.triggers)
        if isinstance(trigger, CronTrigger)
    ]
    turn.tx.replace_cron_timers(row.key, ticks)
    turn.timers_set.extend(tick.due_at for tick in ticks)
    turn.functions = FunctionTable([*turn.functions.by_key.values(), row])
    turn.d.functions = turn.functions.by_key
    return Registered(row.version, warnings)


def _warnings(definition: Definition) -> list[str]:
    warnings = []
    if len(set(definition.triggers)) < len(definition.triggers):
        warnings.append("a trigger is given twice: it counts once")
    if any(isinstance(trigger, EventTrigger) and trigger.event == "*" for trigger in definition.triggers):
        warnings.append('the trigger "*" starts the function for every event, its own children too')
    if definition.retry.retries == 0:
        warnings.append("retries is 0: the first failure of a step is final")
    return warnings
