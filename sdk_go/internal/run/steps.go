package run

import (
	"time"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

// waiter is the goroutine that called a step.
type waiter struct {
	branch *branch
	isOurs bool
	// isCounted tells whether it counts as running; it does not from the call of a step until the step has its end.
	isCounted bool
	// isExecuting tells whether it is in the body of the step, waits whether it waits for the server.
	isExecuting, waits bool
	// isTold tells whether it may look at its step again. Each time that this becomes so, news gets something.
	isTold bool
	news   chan struct{}
}

// Begin is a call of a step by the code, and where the step stands then. From here on until the step has its end the
// goroutine does not count as running. If the code must not go on, its goroutine ends here.
func (s *Scope) Begin(stepID string, kind replay.Kind) (*replay.Call, replay.Status, error) {
	i, isOurs := s.Invocation, isOurs()
	i.mu.Lock()
	if s.branch.isOver() {
		i.exit()
	}
	defer i.mu.Unlock()
	if isOurs && s.branch.joining > 0 {
		return nil, 0, fault.Argumentf("step %s is called in a branch of a group, with the context of the code around it: "+
			"give it the context that the branch was given", fault.Quote(stepID))
	}
	call, err := i.machine.Begin(stepID, kind)
	if err != nil {
		return nil, 0, err
	}
	s.branch.noteBegun()
	w := &waiter{branch: s.branch, isOurs: isOurs, isCounted: true, news: make(chan struct{}, 1)}
	call.Waiter = w
	i.lastMove = time.Now()
	if call.Status > replay.StatusBlocked {
		return call, call.Status, nil
	}
	i.plainSeen = i.plainSeen || !isOurs
	i.count(w, false)
	i.noteExecuting(w, call.Status == replay.StatusExecute)
	i.advance()
	return call, call.Status, nil
}

// IsSure tells whether nobody else was given the run. If not, Settle waits until that is known.
func (s *Scope) IsSure() bool { return s.owner.IsSure(s.Lease) }

// Settle reports what was done, if anything, waits until the code can go on, and tells where the step stands then.
func (s *Scope) Settle(call *replay.Call, report *pb.Report, isCertain bool) replay.Status {
	i, w := s.Invocation, call.Waiter.(*waiter)
	i.mu.Lock()
	i.noteExecuting(w, false)
	isLost := w.branch.isOver()
	if report != nil && !i.machine.IsOver() && (!isLost || report.GetStepCompleted() != nil) {
		i.machine.Reported(call, isCertain)
		i.owner.Report(i.Lease, call.Key, report)
	} else if isLost {
		i.machine.Abandon(call) // a body that was interrupted has not failed
	}
	w.waits = true
	i.lastMove = time.Now()
	for {
		if w.branch.isOver() {
			i.count(w, true)
			i.advance()
			i.exit()
		}
		if report == nil && call.Status == replay.StatusExecute && !call.IsHeld && s.IsSure() ||
			w.isTold && i.mayGoOn(call) {
			break
		}
		w.isTold = false
		i.advance()
		i.mu.Unlock()
		<-w.news
		i.mu.Lock()
	}
	defer i.mu.Unlock()
	w.waits, w.isTold = false, false
	i.noteExecuting(w, call.Status == replay.StatusExecute)
	return call.Status
}

// Fail ends a step that could not be told to the server: it counts as not called.
func (s *Scope) Fail(call *replay.Call) {
	i, w := s.Invocation, call.Waiter.(*waiter)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.noteExecuting(w, false)
	i.machine.Abandon(call)
	i.count(w, true)
	i.advance()
}

// Result reads what a step that has its end was answered.
func (s *Scope) Result(call *replay.Call) (entry *replay.Entry, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return call.Entry, call.Problem
}

// wake lets the goroutine look at its step again.
func (i *Invocation) wake(call *replay.Call) {
	w := call.Waiter.(*waiter)
	if call.Status > replay.StatusBlocked {
		i.count(w, true)
	}
	w.isTold = true
	i.lastMove = time.Now()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (i *Invocation) mayGoOn(call *replay.Call) bool {
	if call.Status == replay.StatusExecute {
		return !call.IsHeld && i.owner.IsSure(i.Lease)
	}
	return call.Status > replay.StatusBlocked && !call.IsHeld
}

// count notes whether a goroutine runs; of those that are not ours nobody knows.
func (i *Invocation) count(w *waiter, isCounted bool) {
	if w.isOurs && w.isCounted != isCounted {
		w.isCounted = isCounted
		if isCounted {
			i.running++
		} else {
			i.running--
		}
	}
}

func (i *Invocation) noteExecuting(w *waiter, isExecuting bool) {
	if w.isExecuting != isExecuting {
		w.isExecuting = isExecuting
		for each := w.branch; each != nil; each = each.parent {
			if isExecuting {
				each.executing++
			} else {
				each.executing--
			}
		}
	}
}
