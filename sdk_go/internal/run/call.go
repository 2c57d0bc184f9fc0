package run

import (
	"context"
	"slices"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

// waiter is the goroutine that called a step.
type waiter struct {
	branch *branch
	ctx    context.Context
	isOurs bool
	// isCounted tells whether it counts as running; it does not from the call of a step until the step has its end.
	isCounted bool
	// isExecuting tells whether it is in the body of the step, waits whether it waits for the server.
	isExecuting, waits bool
	// isTold tells whether it may look at its step again. Each time that this becomes so, news gets something.
	isTold bool
	news   chan struct{}
	// hasEnd tells whether the code has the result of its step.
	hasEnd bool
}

// begin is a call of a step by the code. From here on until it leaves the step its goroutine does not count as running. If the
// code must not go on, its goroutine ends here.
func (s *Scope) begin(ctx context.Context, stepID string, kind replay.Kind) (*replay.Call, replay.Status, error) {
	i, isOurs := s.invocation, isOurs()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.exitIfOver()
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if isOurs && s.branch.joining > 0 {
		return nil, 0, fault.Argumentf("step %s is called in a branch of a group, with the context of the code around it: "+
			"give it the context that the branch was given", fault.Quote(stepID))
	}
	call, err := i.machine.Begin(stepID, kind)
	if err != nil {
		return nil, 0, err
	}
	s.branch.noteBegun()
	w := &waiter{branch: s.branch, ctx: ctx, isOurs: isOurs, isCounted: true, news: make(chan struct{}, 1)}
	call.Waiter = w
	i.lastMove = time.Now()
	if w.note(call.Status); w.hasEnd {
		return call, call.Status, nil
	}
	i.plainSeen = i.plainSeen || !isOurs
	w.isTold = w.isExecuting
	w.setCounted(false)
	i.advance()
	return call, call.Status, nil
}

// settle reports what was done, if anything, waits until the code can go on, and tells where the step stands then. It gives the
// error of the context if that ends before; a result that came nevertheless is reported, and so recorded.
func (s *Scope) settle(call *replay.Call, report *pb.Report, isCertain bool) (replay.Status, error) {
	i, w := s.invocation, call.Waiter.(*waiter)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.exitIfOver()
	w.setExecuting(false)
	if report != nil {
		w.isTold = false
		if w.ctx.Err() == nil || report.GetStepCompleted() != nil {
			i.machine.Reported(call, isCertain)
			i.owner.Report(i.Lease, call.Key, report)
		}
	}
	w.waits = true
	i.lastMove = time.Now()
	for w.ctx.Err() == nil {
		if w.isTold && i.mayGoOn(call) {
			w.waits, w.isTold = false, false
			w.note(call.Status)
			return call.Status, nil
		}
		w.isTold = false
		i.advance()
		i.without(func() {
			select {
			case <-w.news:
			case <-w.ctx.Done():
			}
		})
		i.exitIfOver()
	}
	return 0, w.ctx.Err()
}

// leave says that the code has left a step. If it has no result of it, the step counts as not called.
func (s *Scope) leave(call *replay.Call) {
	i, w := s.invocation, call.Waiter.(*waiter)
	i.mu.Lock()
	defer i.mu.Unlock()
	if w.hasEnd {
		return
	}
	w.setExecuting(false)
	w.waits, w.hasEnd = false, true
	i.machine.Abandon(call)
	i.queue = slices.DeleteFunc(i.queue, func(queued *replay.Call) bool { return queued == call })
	w.setCounted(true)
	i.lastMove = time.Now()
	i.advance()
}

// wake lets the goroutine look at its step again.
func (i *Invocation) wake(call *replay.Call) {
	w := call.Waiter.(*waiter)
	if call.Status > replay.StatusBlocked {
		w.setCounted(true)
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

// isLeft tells whether the code is about to leave the step, since its context has ended.
func isLeft(call *replay.Call) bool {
	w := call.Waiter.(*waiter)
	return w.waits && w.ctx.Err() != nil
}

// note notes where its step stands when the code goes on.
func (w *waiter) note(status replay.Status) {
	w.hasEnd = status > replay.StatusBlocked
	w.setExecuting(status == replay.StatusExecute)
}

// setCounted notes whether the goroutine runs; of those that are not ours nobody knows.
func (w *waiter) setCounted(isCounted bool) {
	if w.isOurs && w.isCounted != isCounted {
		w.isCounted = isCounted
		w.branch.noteRunning(change(isCounted))
	}
}

func (w *waiter) setExecuting(isExecuting bool) {
	if w.isExecuting != isExecuting {
		w.isExecuting = isExecuting
		w.branch.noteExecuting(change(isExecuting))
	}
}

func change(isMore bool) int {
	if isMore {
		return 1
	}
	return -1
}
