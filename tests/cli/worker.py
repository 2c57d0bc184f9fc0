"""A worker of a few lines, which speaks the contract by itself: the command line is tested without an SDK."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from typing import TypeAlias

import grpc

from controlplane.gen.steplane.v1 import (
    event_pb2,
    function_pb2,
    function_pb2_grpc,
    payload_pb2,
    work_pb2,
    work_pb2_grpc,
)

Behaviour: TypeAlias = Callable[[], list[work_pb2.Report]]
"""All that a function does, as the reports of one invocation."""

_SLOTS = 10


def returned(output: bytes) -> work_pb2.Report:
    """The function returned."""
    return work_pb2.Report(run_completed=work_pb2.RunCompleted(output=payload_pb2.Payload(data=output)))


def raised(message: str) -> work_pb2.Report:
    """The function failed for good."""
    failure = payload_pb2.Failure(name="ValueError", message=message, stack="line 1\nline 2")
    return work_pb2.Report(run_failed=work_pb2.RunFailed(failure=failure, retry=work_pb2.RetryDirective(never=True)))


def step(key: str, output: bytes) -> work_pb2.Report:
    """A step returned."""
    body = work_pb2.StepCompleted(output=payload_pb2.Payload(data=output), attempt=1)
    return work_pb2.Report(step_key=key, step_completed=body)


def sent(key: str, *names: str) -> work_pb2.Report:
    """A step sent events."""
    return work_pb2.Report(
        step_key=key, events_sent=work_pb2.EventsSent(events=[event_pb2.Event(name=name) for name in names])
    )


def waits_for_signal(key: str, name: str) -> list[work_pb2.Report]:
    """A step waits for a signal, and nothing else goes on."""
    wait = work_pb2.SignalWaitStarted(signal=name)
    return [
        work_pb2.Report(step_key=key, signal_wait_started=wait),
        work_pb2.Report(run_parked=work_pb2.RunParked(blocked_by=[key])),
    ]


class Worker:
    """Serves the functions of one app until the block ends."""

    def __init__(self, address: str, app_id: str, functions: Mapping[str, tuple[str, Behaviour]]) -> None:
        self._channel = grpc.insecure_channel(address)
        self._app_id = app_id
        self._functions = functions
        """By id: the event that triggers it, and what it does."""
        self._frames: SimpleQueue[work_pb2.StreamWorkRequest | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._is_welcome = threading.Event()

    def __enter__(self) -> Worker:
        stub = function_pb2_grpc.FunctionServiceStub(self._channel)
        for function_id, (event, _) in self._functions.items():
            definition = function_pb2.FunctionDefinition(
                app_id=self._app_id,
                function_id=function_id,
                triggers=[function_pb2.Trigger(event=function_pb2.EventTrigger(event=event))],
            )
            stub.RegisterFunction(function_pb2.RegisterFunctionRequest(definition=definition))
        hello = work_pb2.Hello(app_id=self._app_id, function_ids=self._functions, instance_id="test", sdk="test")
        self._frames.put(work_pb2.StreamWorkRequest(hello=hello))
        self._thread.start()
        assert self._is_welcome.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.put(None)
        self._thread.join(10)
        self._channel.close()

    def _work(self) -> None:
        received = 0
        for frame in work_pb2_grpc.WorkServiceStub(self._channel).StreamWork(self._take_frames()):
            if frame.HasField("welcome"):
                self._is_welcome.set()
            for invocation in frame.invocations.invocations:
                received += 1
                self._report(invocation)
            self._frames.put(work_pb2.StreamWorkRequest(credit=work_pb2.Credit(invocation_limit=received + _SLOTS)))

    def _take_frames(self) -> Iterator[work_pb2.StreamWorkRequest]:
        while (frame := self._frames.get()) is not None:
            yield frame

    def _report(self, invocation: work_pb2.Invocation) -> None:
        _, behave = self._functions[invocation.function_id]
        reports = behave()
        for report in reports:
            report.run_id, report.epoch = invocation.run_id, invocation.epoch
        self._frames.put(work_pb2.StreamWorkRequest(reports=work_pb2.Reports(reports=reports)))
