package worker

import (
	"github.com/steplane/steplane/sdk_go/internal/codec"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// invoked says that work came.
func (e *executor) invoked(message *pb.Invocation) {
	lease := run.Lease{RunID: message.GetRunId(), Epoch: message.GetEpoch()}
	if !e.outbox.received(lease) {
		return // it was delivered twice
	}
	e.mu.Lock()
	if e.isDraining {
		e.release(lease)
		e.mu.Unlock()
		return
	}
	if message.GetJournalRemaining() > 0 {
		e.partial[lease] = message
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.start(message)
}

// journalContinued says that more of a journal came.
func (e *executor) journalContinued(part *pb.JournalPart) {
	lease := run.Lease{RunID: part.GetRunId(), Epoch: part.GetEpoch()}
	e.mu.Lock()
	message := e.partial[lease]
	if message == nil {
		e.mu.Unlock()
		return
	}
	message.Journal = append(message.Journal, part.GetEntries()...)
	message.JournalRemaining -= min(message.JournalRemaining, uint32(len(part.GetEntries())))
	if message.JournalRemaining > 0 {
		e.mu.Unlock()
		return
	}
	delete(e.partial, lease)
	e.mu.Unlock()
	e.start(message)
}

// start begins an invocation whose journal is whole. It takes the place of one of the same run that has a lower epoch.
func (e *executor) start(message *pb.Invocation) {
	lease := run.Lease{RunID: message.GetRunId(), Epoch: message.GetEpoch()}
	e.mu.Lock()
	before := e.live[lease.RunID]
	e.mu.Unlock()
	if before != nil {
		if before.Lease.Epoch >= lease.Epoch {
			e.letGo(lease)
			return
		}
		e.drop(before.Lease, "it was leased again")
	}
	function, isServed := e.functions[message.GetFunctionId()]
	if !isServed {
		// It is not held from now on, so the server gives it to another after some heartbeats.
		e.logger.Error("the server sent a run of a function that is not served here", "run_id", lease.RunID,
			"function", message.GetFunctionId())
		e.letGo(lease)
		return
	}
	invocation := run.New(e.under, run.Opts{
		Owner: e, Machine: e.machineOf(message), FunctionID: message.GetFunctionId(), Logger: e.logger.With("function", message.GetFunctionId()),
		Events: message.GetEvents(), Attempt: int(message.GetAttempt()), Handler: function.Handler,
	})
	e.mu.Lock()
	if e.isDraining {
		e.release(lease)
		e.mu.Unlock()
		return
	}
	e.live[lease.RunID] = invocation
	e.bodies[invocation] = true
	e.mu.Unlock()
	invocation.Go()
}

// letGo holds a lease no longer, without a word.
func (e *executor) letGo(lease run.Lease) {
	e.outbox.forget(lease)
	e.outbox.freeSlot()
}

func (e *executor) machineOf(message *pb.Invocation) *replay.Machine {
	journal := make([]replay.Entry, len(message.GetJournal()))
	for index, entry := range message.GetJournal() {
		journal[index] = *codec.DecodeEntry(entry)
	}
	return replay.NewMachine(replay.MachineOpts{
		RunID: message.GetRunId(), Epoch: message.GetEpoch(), Traceparent: message.GetTraceparent(), Journal: journal,
		StepsMax: e.Limits().RunStepsMax, InOrder: true,
	})
}
