package worker

import (
	"time"

	"github.com/steplane/steplane/sdk_go/internal/codec"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// acked says that a report was answered.
func (e *executor) acked(ack *pb.Ack) {
	lease := run.Lease{RunID: ack.GetRunId(), Epoch: ack.GetEpoch()}
	switch {
	case ack.GetStatus() == pb.AckStatus_ACK_STATUS_STALE_EPOCH:
		e.drop(lease, "it was given to another worker")
	case ack.GetStatus() == pb.AckStatus_ACK_STATUS_RUN_ENDED:
		e.drop(lease, "it has ended")
	case ack.GetStepKey() == "":
		e.refuseOutcome(lease, ack.GetMessage())
	default:
		if invocation := e.find(lease); invocation != nil {
			var entry *replay.Entry
			if ack.GetEntry() != nil {
				entry = codec.DecodeEntry(ack.GetEntry())
			}
			invocation.Acked(ack.GetStepKey(), replay.AckStatus(ack.GetStatus()), entry, ack.GetMessage())
		}
	}
}

// resolved says that a blocked step may go on.
func (e *executor) resolved(resolution *pb.Resolution) {
	lease := run.Lease{RunID: resolution.GetRunId(), Epoch: resolution.GetEpoch()}
	if invocation := e.find(lease); invocation != nil {
		invocation.Resolved(codec.DecodeEntry(resolution.GetEntry()))
	}
}

// cancelled says that a run has ended, and its code is to be stopped.
func (e *executor) cancelled(message *pb.Cancellation) {
	e.takenAway([]run.Lease{{RunID: message.GetRunId(), Epoch: message.GetEpoch()}}, message.GetReason())
}

// takenAway says that leases are to be stopped.
func (e *executor) takenAway(leases []run.Lease, reason string) {
	for _, lease := range leases {
		// A heartbeat crosses with acks: most of what it is told to stop has just ended here.
		if e.find(lease) != nil {
			e.logger.Info("a run is stopped here", "run_id", lease.RunID, "epoch", lease.Epoch, "reason", reason)
		}
		e.drop(lease, reason)
	}
}

func (e *executor) find(lease run.Lease) *run.Invocation {
	e.mu.Lock()
	defer e.mu.Unlock()
	if invocation := e.live[lease.RunID]; invocation != nil && invocation.Lease == lease {
		return invocation
	}
	return nil
}

func (e *executor) drop(lease run.Lease, reason string) {
	e.outbox.forget(lease)
	e.mu.Lock()
	if e.partial[lease] != nil {
		delete(e.partial, lease)
		e.outbox.freeSlot()
	}
	delete(e.refused, lease)
	e.mu.Unlock()
	if invocation := e.find(lease); invocation != nil {
		invocation.Drop(reason)
	}
	e.change()
}

// refuseOutcome: the server will never take a run's outcome as it was reported: the run fails with the reason, else is let go.
func (e *executor) refuseOutcome(lease run.Lease, problem string) {
	e.mu.Lock()
	wasRefused := e.refused[lease]
	e.refused[lease] = true
	e.mu.Unlock()
	if wasRefused {
		e.logger.Error("the server refuses the outcome of a run", "run_id", lease.RunID, "problem", problem)
		e.drop(lease, "the server refuses its outcome")
		return
	}
	err := fault.Rejectedf("the server refused the outcome of this run: %s", problem)
	e.outbox.put(lease, "", report.Maker{RunID: lease.RunID, Epoch: lease.Epoch}.RunFailed(err, time.Now()))
}
