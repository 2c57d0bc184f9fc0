"""Where a user's code runs, and how it waits there: on the event loop, or in threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, NoReturn, TypeVar

from steplane.context import Context, ContextSync
from steplane.replay.machine import StepCall
from steplane.scope import SCOPE
from steplane.worker.invocation import Invocation
from steplane.worker.quiet import Quiet, quiet
from steplane.worker.threads import Threads

T = TypeVar("T")


class AsyncBody:
    """An `async def` function: a task of the event loop."""

    __slots__ = ("_context", "_invocation", "_loop", "_task")

    is_async = True

    def __init__(self, invocation: Invocation, context: Context) -> None:
        self._invocation = invocation
        self._context = context
        self._loop = invocation.owner.loop
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = self._loop.create_task(self._run())

    def wait(self, call: StepCall, report: bytes | None, *, is_certain: bool) -> Awaitable[None]:
        """A future of the loop."""
        waiter = call.waiter = self._loop.create_future()
        self._invocation.hand_in(call, report, is_certain=is_certain)
        return waiter

    def wake(self, call: StepCall) -> None:
        """Let the code go on."""
        waiter = call.waiter
        if waiter is None or waiter.done():
            return
        if self._invocation.machine.is_over:
            waiter.cancel()
        else:
            waiter.set_result(None)

    def stop(self) -> None:
        """Cancel the task, and whatever else waits at a step."""
        for call in (*self._invocation.machine.live, *self._invocation.undelivered):
            self.wake(call)
        task = self._task
        if task is not None and task is not asyncio.current_task(self._loop):
            task.cancel()

    def over(self) -> BaseException:
        """As asyncio ends a task."""
        return asyncio.CancelledError()

    def quiet(self) -> Quiet:
        """See `quiet.py`."""
        calls = (*self._invocation.machine.live, *self._invocation.undelivered)
        return quiet(self._task, {call.waiter for call in calls})

    @property
    def is_simple(self) -> bool:
        """Whether the function itself waits at a step, and not at branches."""
        waiter = getattr(self._task, "_fut_waiter", None)
        return any(call.waiter is waiter for call in self._invocation.machine.live)

    def parallel(self, callables: Sequence[Callable[[], T]]) -> NoReturn:
        """Not asked of an async function: it has `asyncio.gather`."""
        raise AssertionError(f"{len(callables)} threads for an async function")

    async def _run(self) -> None:
        invocation = self._invocation
        SCOPE.set(invocation.machine)
        value, error = None, None
        try:
            value = await invocation.function.handler(self._context)
        except (Exception, asyncio.CancelledError, SystemExit) as raised:
            if isinstance(raised, SystemExit) and invocation.machine.is_over:
                raise  # it is the worker that ends, and not its function
            error = raised
        invocation.ended(value, error)


class InvocationOver(BaseException):
    """Ends a plain function whose invocation was parked or taken away; not an `Exception`, so that none swallows it."""


class _Gate:
    """What a thread waits at, once."""

    __slots__ = ("_body", "_lock", "is_counted")

    def __init__(self, body: ThreadBody, *, is_counted: bool) -> None:
        self._body = body
        self._lock = threading.Lock()
        self._lock.acquire()
        self.is_counted = is_counted

    def open(self) -> None:
        """Let the thread go on."""
        self._lock.release()

    def __await__(self) -> Generator[Any, None, None]:
        """Block: this is awaited in the thread of a plain function, never on an event loop."""
        self._lock.acquire()
        if self._body.is_over:
            raise InvocationOver
        yield from ()


class ThreadBody:
    """A plain `def` function: a thread, and one more for each branch of `group.parallel`."""

    is_async = False

    def __init__(self, invocation: Invocation, threads: Threads) -> None:
        self._invocation = invocation
        self._threads = threads
        self._loop = invocation.owner.loop
        self._lock = threading.Lock()
        self._own: set[int] = set()
        """The threads that run this function's code, as far as they are ours."""
        self._running = 0
        """How many of these do not wait for a step, or for a branch."""
        self.context: ContextSync | None = None

    @property
    def is_over(self) -> bool:
        """Whether the code must not go on."""
        return self._invocation.machine.is_over

    def start(self) -> None:
        """Begin."""
        self._running = 1
        self._threads.start(self._run)

    def wait(self, call: StepCall, report: bytes | None, *, is_certain: bool) -> Awaitable[None]:
        """A gate that blocks the thread. The event loop's thread is told meanwhile."""
        is_counted = threading.get_ident() in self._own
        gate = call.waiter = _Gate(self, is_counted=is_counted)
        if is_counted:
            self._count(-1)
        if not self._post(self._hand_in, call, report, is_certain):
            raise InvocationOver
        return gate

    def wake(self, call: StepCall) -> None:
        """Let the thread go on."""
        gate, call.waiter = call.waiter, None
        if gate is not None:
            if gate.is_counted:
                self._count(1)
            gate.open()

    def stop(self) -> None:
        """Wake every thread that waits at a step; the others end at their next step."""
        for call in list(self._invocation.machine.live):
            self.wake(call)

    def over(self) -> BaseException:
        """What no `except Exception` swallows."""
        return InvocationOver()

    def quiet(self) -> Quiet:
        """Threads that are not ours may call steps too: nobody knows what else they do."""
        return Quiet.BLOCKED if self._running == 0 else Quiet.UNKNOWN

    @property
    def is_simple(self) -> bool:
        """Threads are counted: none of them is about to go on."""
        return True

    def parallel(self, callables: Sequence[Callable[[], T]]) -> list[T]:
        """A thread for each."""
        if not callables:
            return []
        branches = [_Branch(each) for each in callables]
        is_counted = threading.get_ident() in self._own
        self._count(len(branches) - (1 if is_counted else 0))
        done = threading.Event()
        left = len(branches)

        def run(branch: _Branch[T]) -> None:
            nonlocal left
            with self._lock:
                self._own.add(threading.get_ident())
            branch.run()
            with self._lock:
                self._own.discard(threading.get_ident())
                left -= 1
                # The thread that waits for the branches goes on with the last of them.
                self._running += (1 if is_counted else 0) - 1 if left == 0 else -1
                is_last = left == 0
            if is_last:
                done.set()
            else:
                self._post(self._invocation.consider_parking)

        for branch in branches:
            self._threads.start(lambda branch=branch: run(branch))  # type: ignore[misc]  # the default is the argument
        done.wait()
        return [branch.result() for branch in branches]

    def _post(self, function: Callable[..., object], *args: object) -> bool:
        """Call something on the event loop's thread, soon; not if the loop is closed, as this thread outlived its worker."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    def _hand_in(self, call: StepCall, report: bytes | None, is_certain: bool) -> None:
        self._invocation.hand_in(call, report, is_certain=is_certain)

    def _count(self, change: int) -> None:
        with self._lock:
            self._running += change

    def _run(self) -> None:
        invocation = self._invocation
        ident = threading.get_ident()
        self._own.add(ident)
        token = SCOPE.set(invocation.machine)
        value, error = None, None
        try:
            value = invocation.function.handler(self.context)
        except BaseException as raised:  # noqa: BLE001 whatever it is goes to the server
            error = raised
        finally:
            SCOPE.reset(token)
            self._own.discard(ident)
        self._post(invocation.ended, value, error)


class _Branch(Generic[T]):
    """One callable of `group.parallel`, and what became of it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._value: T
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call it, in the context of whoever asked for it."""
        try:
            self._value = self._context.run(self._call)
        except BaseException as error:  # noqa: BLE001 it is raised where the branches come together
            self._error = error

    def result(self) -> T:
        """What it returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._value
