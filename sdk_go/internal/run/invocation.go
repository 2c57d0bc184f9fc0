package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/codec"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
)

// Lease is one lease of a run.
type Lease struct {
	RunID string
	Epoch uint32
}

// Owner has all invocations. Its methods are called with the lock of an invocation, so they must not call one.
type Owner interface {
	// Limits are what the server refuses for good.
	Limits() limits.Limits
	// IsSure tells whether the run was surely given to nobody else.
	IsSure(lease Lease) bool
	// Report sends a report, and keeps it until it is acknowledged.
	Report(lease Lease, stepKey string, report *pb.Report)
	// FreeSlot says that an invocation needs its slot no longer.
	FreeSlot()
	// Left says that the invocation needs no more acks and resolutions.
	Left(invocation *Invocation)
	// Emptied says that the user's function has ended, one way or another.
	Emptied(invocation *Invocation)
}

// Start is what a function is given.
type Start struct {
	Events      []*pb.Event
	Attempt     int
	RunID       string
	Traceparent string
	Logger      *slog.Logger
}

// Handler is a user's function.
type Handler func(ctx context.Context, start Start) (any, error)

// Invocation is one lease of one run, while it is worked on.
type Invocation struct {
	Lease Lease

	owner      Owner
	functionID string
	reports    report.Maker
	logger     *slog.Logger
	began      time.Time
	main       *branch

	mu        sync.Mutex
	machine   *replay.Machine
	hasSlot   bool
	starting  int            // groups whose branches are being started
	plainSeen bool           // whether a goroutine that is not ours has called a step
	queue     []*replay.Call // can go on, and their branches have not heard of it
	lastMove  time.Time      // when the code last did something that is seen here, or was told something
	timer     *time.Timer
}

// Opts are the parts of an invocation.
type Opts struct {
	Owner      Owner
	Machine    *replay.Machine
	FunctionID string
	Logger     *slog.Logger
	Events     []*pb.Event
	Attempt    int
	Handler    Handler
}

// New makes an invocation; Begin starts it. Its context has the values of under, and ends when the invocation does.
func New(under context.Context, opts Opts) *Invocation {
	machine := opts.Machine
	i := &Invocation{
		Lease: Lease{machine.RunID, machine.Epoch}, owner: opts.Owner, functionID: opts.FunctionID,
		reports: report.Maker{RunID: machine.RunID, Epoch: machine.Epoch},
		began:   time.Now(), machine: machine, hasSlot: true, lastMove: time.Now(), logger: opts.Logger,
	}
	start := Start{
		Events: opts.Events, Attempt: opts.Attempt, RunID: machine.RunID, Traceparent: machine.Traceparent,
		Logger: slog.New(quietHandler{opts.Logger.Handler(), i}).With("run_id", machine.RunID),
	}
	var data []byte
	i.main = newBranch(i, nil, under, func(ctx context.Context) error {
		value, err := opts.Handler(ctx, start)
		if err == nil {
			data, err = i.encode(value)
		}
		return err
	})
	i.main.running = 1
	i.main.atEnd = func(err error) { i.ended(data, err) }
	return i
}

// Go starts the function.
func (i *Invocation) Go() { go live(i.main) }

// Acked says that a step's report was answered.
func (i *Invocation) Acked(stepKey string, status replay.AckStatus, entry *replay.Entry, message string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.goesOn(i.machine.Acked(stepKey, status, entry, message))
}

// Resolved says that a blocked step may go on.
func (i *Invocation) Resolved(entry *replay.Entry) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.goesOn(i.machine.Resolved(entry))
}

// Reassured says that the run is still this worker's: what waited to know that may go on.
func (i *Invocation) Reassured() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, call := range i.machine.Live() {
		isInTurn := !call.IsHeld && !slices.Contains(i.queue, call)
		if call.Status == replay.StatusExecute && isInTurn && call.Waiter.(*waiter).waits {
			i.wake(call)
		}
	}
}

// Drop stops: the run is somebody else's now, or has ended. Nothing more is reported.
func (i *Invocation) Drop(reason string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.machine.IsOver() {
		i.machine.Close()
		i.stop(fmt.Errorf("%w: %s", ErrTakenAway, reason))
		i.freeSlot()
		i.owner.Left(i)
	}
}

// ended is called with the lock once the function has returned, or given an error.
func (i *Invocation) ended(data []byte, err error) {
	if !i.machine.IsOver() {
		i.machine.Close()
		i.stop(context.Canceled)
		if err == nil {
			i.owner.Report(i.Lease, "", i.reports.RunCompleted(data, i.began))
		} else {
			i.owner.Report(i.Lease, "", i.reports.RunFailed(err, i.began))
			i.main.atLast = func() {
				i.logger.Warn("a run failed", "run_id", i.Lease.RunID, "error", err)
			}
		}
		i.owner.Left(i)
	}
	i.freeSlot()
	i.owner.Emptied(i)
}

func (i *Invocation) encode(value any) ([]byte, error) {
	data, err := codec.Encode(value, "the result of function", i.functionID)
	if err == nil {
		err = i.owner.Limits().CheckOutput(data, "function", i.functionID)
	}
	return data, err
}

// stop lets the code go on nowhere: what it waits at, and each step that it calls from now on, ends its goroutine.
func (i *Invocation) stop(cause error) {
	if i.timer != nil {
		i.timer.Stop()
	}
	i.main.cancel(cause)
	for _, call := range append(i.machine.Live(), i.queue...) {
		i.wake(call)
	}
	i.queue = nil
}

func (i *Invocation) freeSlot() {
	if i.hasSlot {
		i.hasSlot = false
		i.owner.FreeSlot()
	}
}

// exitIfOver ends a goroutine that must not go on. It is called with the lock, which has to be given back by a defer.
func (i *Invocation) exitIfOver() {
	if i.machine.IsOver() {
		runtime.Goexit()
	}
}

// without does something without the lock, which is held before and after.
func (i *Invocation) without(do func()) {
	i.mu.Unlock()
	defer i.mu.Lock()
	do()
}

// isReplaying tells whether the code walks over what is recorded.
func (i *Invocation) isReplaying() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.machine.State() == replay.Replaying
}

// ErrTakenAway is why the context of an invocation ends that is stopped: its run was cancelled, or given to another worker.
var ErrTakenAway = errors.New("the run was taken away from this worker")

// ErrParked is why the context of an invocation ends that is parked: it goes on from its journal once it can.
var ErrParked = errors.New("the run is parked, and goes on in another invocation")
