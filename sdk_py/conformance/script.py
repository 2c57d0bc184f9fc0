"""The scripts of `conformance/README.md`, executed with the steps of the Python SDK."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias

from scope import Scope, event_value, resolved, scope_of

from steplane import Context, Event, NonRetriableError, Retry, RetryAfterError, StepError, WaitedEvent
from steplane import current_traceparent as step_trace

Statement: TypeAlias = Mapping[str, Any]

#: How often this process executed the body of a step: by its run, and its trace context, which no other step of it has.
_EXECUTIONS: Final[Counter[tuple[str, str]]] = Counter()


@dataclass(frozen=True)
class Returned:
    """The end of a script, or of a branch, with a value."""

    value: Any


async def run_script(ctx: Context, statements: Sequence[Statement]) -> Any:
    """Execute a function's script, and return what it returns."""
    return await Execution(ctx, scope_of(ctx)).value(statements)


class Execution:
    """The execution of statements in one scope."""

    def __init__(self, ctx: Context, scope: Scope) -> None:
        self._ctx = ctx
        self._scope = scope
        self._blocks: Mapping[str, Callable[[Statement], Awaitable[Returned | None]]] = {
            "try": self._try,
            "repeat": self._repeat,
            "when": self._when,
            "return": self._return,
            "throw": self._throw,
        }
        self._simple: Mapping[str, Callable[[Statement], Awaitable[Any]]] = {
            "run": self._run,
            "sleep": self._sleep,
            "send": self._send,
            "wait": self._wait,
            "invoke": self._invoke,
            "wait_signal": self._wait_signal,
            "send_signal": self._send_signal,
            "parallel": self._parallel,
            "race": self._race,
            "pause_ms": self._pause,
        }

    async def value(self, statements: Sequence[Statement]) -> Any:
        """What a script or a branch returns."""
        end = await self._all(statements)
        return end.value if end is not None else None

    async def _all(self, statements: Sequence[Statement]) -> Returned | None:
        for statement in statements:
            name = next((name for name in (*self._blocks, *self._simple) if name in statement), None)
            if name is None:
                raise NonRetriableError(f"a statement without a known name: {statement}")
            if name in self._blocks:
                end = await self._blocks[name](statement)
                if end is not None:
                    return end
            else:
                value = await self._simple[name](statement)
                if "as" in statement:
                    self._scope[statement["as"]] = value
        return None

    # Statements that have others in them, which may end the script.

    async def _try(self, statement: Statement) -> Returned | None:
        try:
            return await self._all(statement["try"])
        except Exception as error:  # noqa: BLE001 a script catches any
            self._scope["error"] = _error_value(error)
        return await self._all(statement["catch"])

    async def _repeat(self, statement: Statement) -> Returned | None:
        for _ in range(resolved(self._scope, statement["repeat"])):
            end = await self._all(statement["do"])
            if end is not None:
                return end
        return None

    async def _when(self, statement: Statement) -> Returned | None:
        value = resolved(self._scope, statement["when"])
        is_so = value is not None and value is not False and value not in (0, "")
        return await self._all(statement["do"]) if is_so else None

    async def _return(self, statement: Statement) -> Returned | None:
        return Returned(resolved(self._scope, statement["return"]))

    async def _throw(self, statement: Statement) -> Returned | None:
        raise _error_of(resolved(self._scope, statement["throw"]))

    # Statements that have a value.

    async def _run(self, statement: Statement) -> Any:
        said = resolved(self._scope, {name: value for name, value in statement.items() if name != "body"})
        body = partial(self.value, statement["body"]) if "body" in statement else partial(self._body, said)
        return await self._ctx.step.run(said["run"], body, retry=retry_of(said.get("retry")))

    async def _body(self, said: Statement) -> Any:
        execution = (self._ctx.run_id, step_trace())
        failures, number = said.get("fails", []), _EXECUTIONS[execution]
        _EXECUTIONS[execution] += 1
        if number < len(failures) and failures[number] is not None:
            raise _error_of(failures[number])
        if "takes_ms" in said:
            await asyncio.sleep(said["takes_ms"] / 1000)
        if "blocks_ms" in said:
            time.sleep(said["blocks_ms"] / 1000)  # noqa: ASYNC251 it is to keep its thread
        return object() if said.get("unserializable") else said.get("returns")

    async def _sleep(self, statement: Statement) -> None:
        said = resolved(self._scope, statement)
        if "until" in said:
            await self._ctx.step.sleep_until(said["sleep"], datetime.fromisoformat(said["until"]))
        else:
            await self._ctx.step.sleep(said["sleep"], said["ms"])

    async def _send(self, statement: Statement) -> list[str]:
        said = resolved(self._scope, statement)
        return await self._ctx.step.send_event(said["send"], [Event(**event) for event in said["events"]])

    async def _wait(self, statement: Statement) -> Any:
        said = resolved(self._scope, statement)
        events = [
            WaitedEvent(event=each["event"], match=each.get("match", ""), if_exp=each.get("expression", ""))
            for each in said["events"]
        ]
        answer: Any = await self._ctx.step.wait_for_event(
            said["wait"],
            event=events,
            timeout=said.get("timeout_ms"),
            since="run" if said.get("since_run") else None,
            all_of=said.get("all_of", False),
        )
        if isinstance(answer, list):
            return [event_value(event) for event in answer]
        return event_value(answer) if answer is not None else None

    async def _invoke(self, statement: Statement) -> Any:
        said = resolved(self._scope, statement)
        return await self._ctx.step.invoke(
            said["invoke"], function=said["function"], data=said.get("data"), timeout=said.get("timeout_ms")
        )

    async def _wait_signal(self, statement: Statement) -> Any:
        said = resolved(self._scope, statement)
        return await self._ctx.step.wait_for_signal(
            said["wait_signal"],
            signal=said["signal"],
            timeout=said.get("timeout_ms"),
            on_conflict=said.get("on_conflict", "fail"),
        )

    async def _send_signal(self, statement: Statement) -> str:
        said = resolved(self._scope, statement)
        return await self._ctx.step.send_signal(said["send_signal"], signal=said["signal"], data=said.get("data"))

    async def _parallel(self, statement: Statement) -> list[Any]:
        return await asyncio.gather(*(branch() for branch in self._branches(statement["parallel"])))

    async def _race(self, statement: Statement) -> Any:
        return await self._ctx.group.parallel(self._branches(statement["race"]), mode="race")

    async def _pause(self, statement: Statement) -> None:
        await asyncio.sleep(resolved(self._scope, statement["pause_ms"]) / 1000)

    def _branches(self, branches: Sequence[Sequence[Statement]]) -> list[Callable[[], Awaitable[Any]]]:
        return [partial(Execution(self._ctx, dict(self._scope)).value, branch) for branch in branches]


def retry_of(retry: Mapping[str, Any] | None) -> Retry | None:
    """A retry policy of the file."""
    if retry is None:
        return None
    return Retry(attempts=retry["attempts"], first_delay=retry["first_delay_ms"], factor=retry["factor"])


def _error_value(error: Exception) -> dict[str, str]:
    if isinstance(error, StepError):
        return {"name": error.name, "message": error.message, "reason": error.reason, "step_id": error.step_id}
    return {"name": type(error).__name__, "message": str(error), "reason": "", "step_id": ""}


def _error_of(failure: Mapping[str, Any]) -> Exception:
    """An error that the SDK reports by the failure's name: that of its class."""
    message, retry = failure.get("message", ""), failure.get("retry")
    if retry is None:
        return _kind(Exception, failure.get("name", "Error"))(message)
    if retry == "never":
        return _kind(NonRetriableError, failure.get("name", "NonRetriableError"))(message)
    return _kind(RetryAfterError, failure.get("name", "RetryAfterError"))(message, retry["after_ms"])


def _kind(base: type[Exception], name: str) -> Callable[..., Exception]:
    return type(name, (base,), {})
