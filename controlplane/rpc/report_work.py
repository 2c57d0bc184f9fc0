"""Report: reports of a single call, which no session is needed for: the leases that it names are all it takes."""

from __future__ import annotations

from controlplane.core.limits import CALL_ITEMS_MAX
from controlplane.engine.commands import Reported, ReportOnce
from controlplane.errors import FieldViolation
from controlplane.gen.steplane.v1 import work_pb2
from controlplane.rpc import validate
from controlplane.rpc.frames import SLACK_BYTES, ack_frames, add_cancellation, add_leases
from controlplane.rpc.reports import leases_of, reports_of
from controlplane.rpc.work_terms import Terms


async def report(terms: Terms, request: work_pb2.ReportRequest) -> work_pb2.ReportResponse:
    """Have the reports judged, and answer once they are on disk."""
    found: validate.Violations = []
    namespace = validate.namespace_of(request.namespace, found)
    _check(request, found)
    validate.refuse(found)
    limits = terms.settings.limits
    command = ReportOnce(
        namespace=namespace,
        reports=reports_of(request.reports, limits, terms.clock()),
        held=leases_of(request.held),
        size=request.ByteSize(),
    )
    # A caller that gives up meanwhile takes nothing back: it is to report again, and is told DUPLICATE.
    reported: Reported = await terms.mailbox.submit_report(command)
    response = work_pb2.ReportResponse()
    add_leases(response.stop, reported.stop)
    for cancellation in reported.cancellations:
        add_cancellation(response.cancellations, cancellation)
    if reported.acks:
        frame = next(ack_frames(reported.acks, limits.frame_bytes_max - response.ByteSize() - SLACK_BYTES))
        response.acks.extend(frame.acks.acks)
    return response


def _check(request: work_pb2.ReportRequest, found: validate.Violations) -> None:
    if not request.reports and not request.held:
        found.append(FieldViolation("reports", "must have at least one report, unless held names a lease to renew"))
    if len(request.reports) > CALL_ITEMS_MAX:
        problem = f"has {len(request.reports)} reports; a call has {CALL_ITEMS_MAX} at most"
        found.append(FieldViolation("reports", problem))
    validate.leases(request.held, "held", found)
