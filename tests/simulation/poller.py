"""A worker without a stream, in the small world: it polls, reports by single calls, and now and then an answer is lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from typing_extensions import override

from controlplane.core.limits import SECOND
from controlplane.core.records import Cancellation, Invocation, Lease, Report
from controlplane.engine.commands import Connect, Disconnect, Release, Reported, ReportOnce, Welcomed
from controlplane.engine.outbox import Delivery
from tests.simulation.world import LOSS, SCRIPTS, Held, SimWorker

if TYPE_CHECKING:
    from tests.simulation.world import World

_SLOTS = 3


@dataclass
class SimPoller(SimWorker):
    """One worker process. It has a session while a poll of it is open."""

    invocations: list[Invocation] = field(default_factory=list)
    """What its open poll was given, and is not answered with yet."""
    cancellations: list[Cancellation] = field(default_factory=list)

    @override
    def deliver(self, delivery: Delivery) -> None:
        if delivery.closed:
            self.close()
        self.invocations += delivery.invocations
        self.cancellations += delivery.cancellations

    def close(self) -> None:
        """Its poll failed."""
        self.session_id = ""
        self.invocations.clear()
        self.cancellations.clear()

    def happen(self, world: World) -> None:
        """It polls, is answered, gives up, dies, or works."""
        if self.held and world.chance(0.7):
            self.work(world)
        elif world.chance(0.05):
            self.close()
            self.held.clear()
        elif not self.session_id:
            self.poll(world)
        elif world.chance(0.1):
            self.give_up(world)
        else:
            self.be_answered(world)

    def rest(self, world: World) -> None:
        """One poll, and a report of each run that it holds."""
        if not self.session_id:
            self.poll(world)
        self.be_answered(world)
        for _ in range(len(self.held)):
            self.work(world)

    def poll(self, world: World) -> None:
        """Ask for as much as there is room for, and one more."""
        connect = Connect(
            namespace="default",
            app_id="app",
            function_ids=tuple(SCRIPTS),
            instance_id=self.name,
            sdk="",
            language="",
            held=tuple(self.held),
            outbox=self,
            poll_wait=world.rng.choice((0, 20 * SECOND)),
            invocation_limit=max(1, _SLOTS - len(self.held)),
        )
        (welcomed,) = world.turn(connect)
        assert isinstance(welcomed, Welcomed)
        self.session_id = welcomed.session_id
        self.held = {lease: held for lease, held in self.held.items() if lease in welcomed.resumed}

    def be_answered(self, world: World) -> None:
        """Its poll ends. The answer may be lost, of which nobody knows."""
        session_id, invocations, cancellations = self.session_id, list(self.invocations), list(self.cancellations)
        self.close()
        world.turn(Disconnect(session_id=session_id))
        if world.chance(LOSS):
            return
        for invocation in invocations:
            journal = {entry.step_key: entry for entry in invocation.journal}
            self.held[Lease(invocation.run.id, invocation.run.epoch)] = Held(invocation, journal)
        for cancellation in cancellations:
            self.held.pop(Lease(cancellation.run_id, cancellation.epoch), None)

    def give_up(self, world: World) -> None:
        """It breaks its poll off, and the server sees that."""
        session_id, leases = self.session_id, tuple([Lease(one.run.id, one.run.epoch) for one in self.invocations])
        self.close()
        world.turn(Release(session_id=session_id, leases=leases), Disconnect(session_id=session_id))

    def work(self, world: World) -> None:
        """Report the next step of something it holds, or again what it has no answer for; or only that it holds it."""
        held = world.rng.choice(list(self.held.values()))
        if held.awaited is None:
            held.awaited = world.next_report(held)
        reports: tuple[Report, ...] = () if world.chance(0.1) else (held.awaited,) * world.rng.choice((1, 1, 2))
        call = ReportOnce(namespace="default", reports=reports, held=tuple(self.held), size=1)
        answers = world.turn(call, fails=world.chance(0.05))
        if not answers or world.chance(LOSS):
            return
        reported = answers[0]
        assert isinstance(reported, Reported)
        assert len(reported.acks) == len(reports)
        for ack in reported.acks:
            self.acked(ack)
        for lease in reported.stop:
            self.held.pop(lease, None)
