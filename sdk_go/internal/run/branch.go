package run

import (
	"context"
	"reflect"
	"runtime"
	"runtime/debug"

	"github.com/steplane/steplane/sdk_go/internal/fault"
)

// branch is a goroutine of ours that runs a user's code: that of the function itself, or one of a group.
type branch struct {
	invocation *Invocation
	parent     *branch
	body       func(ctx context.Context) error
	atEnd      func(err error) // with the lock
	atLast     func()          // without it; a user's logger may take its time
	ctx        context.Context
	cancel     context.CancelCauseFunc
	begun      chan struct{} // closed once it has called its first step, or has ended
	ended      chan struct{}
	err        error
	hasBegun   bool // the rest is guarded by the lock of the invocation
	joining    int  // in how many groups its goroutine waits for branches: one at the most
	// running is how many goroutines do something else than to wait for a step or for others, or to execute a step's body;
	// executing is how many bodies are executed. Both count the branches of this one too.
	running, executing int
}

func newBranch(i *Invocation, parent *branch, under context.Context, body func(ctx context.Context) error) *branch {
	b := &branch{invocation: i, parent: parent, body: body, begun: make(chan struct{}), ended: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(under)
	b.ctx, b.cancel = context.WithValue(ctx, scopeKey{}, &Scope{invocation: i, branch: b}), cancel
	return b
}

// live is the first function of each goroutine of ours: it is how they are known from others.
//
//go:noinline
func live(b *branch) {
	var err error
	isDone := false
	defer func() {
		// A parked run ends its goroutines by runtime.Goexit, which no recover of the user's can see.
		if raised := recover(); raised != nil {
			err = panicked(raised)
		} else if !isDone {
			err = &fault.NonRetriableError{Message: "the code ended its goroutine by runtime.Goexit"}
		}
		b.end(err)
	}()
	err = b.body(b.ctx)
	isDone = true
}

// panicked is a panic as an error.
func panicked(raised any) error {
	return &fault.PanicError{Value: raised, Stack: string(debug.Stack())}
}

func (b *branch) end(err error) {
	i := b.invocation
	b.cancel(context.Canceled)
	i.mu.Lock()
	b.err = err
	b.noteBegun()
	b.noteRunning(-1)
	b.atEnd(err)
	i.advance()
	i.mu.Unlock()
	close(b.ended)
	if b.atLast != nil {
		b.atLast()
	}
}

// noteBegun lets whoever starts branches in their order go on with the next one.
func (b *branch) noteBegun() {
	for each := b; each != nil && !each.hasBegun; each = each.parent {
		each.hasBegun = true
		close(each.begun)
	}
}

func (b *branch) noteRunning(change int) {
	for each := b; each != nil; each = each.parent {
		each.running += change
	}
}

func (b *branch) noteExecuting(change int) {
	for each := b; each != nil; each = each.parent {
		each.executing += change
	}
}

var liveEntry = reflect.ValueOf(live).Pointer()

// isOurs tells whether the calling goroutine is a branch: one that the user's code began by itself is not, and nobody knows
// what it does between its steps. A goroutine is known by the function that it began with.
func isOurs() bool {
	const chunk, fromEnd = 64, 4
	var counters [chunk]uintptr
	count := runtime.Callers(1, counters[:])
	for skip := 1 + chunk; count == chunk; skip += chunk - fromEnd {
		copy(counters[:fromEnd], counters[chunk-fromEnd:])
		count = fromEnd + runtime.Callers(skip, counters[fromEnd:])
		if count == fromEnd {
			break
		}
	}
	for _, counter := range counters[max(count-fromEnd, 0):count] {
		if function := runtime.FuncForPC(counter - 1); function != nil && function.Entry() == liveEntry {
			return true
		}
	}
	return false
}
