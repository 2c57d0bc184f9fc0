package worker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// Function is what a worker serves.
type Function struct {
	Definition *pb.FunctionDefinition
	Handler    run.Handler
}

// executor has all invocations of a worker: it begins them, and tells each what the server says.
//
// It is called by the reader of a stream, in the order that things came, and by the goroutines of invocations, which have
// their own lock then: so it calls no invocation while it has its lock.
type executor struct {
	under     context.Context // what the contexts of functions derive from
	outbox    *outbox
	functions map[string]Function
	logger    *slog.Logger
	changed   chan struct{} // gets something whenever less may be left to wait for
	limits    atomic.Pointer[limits.Limits]

	mu          sync.Mutex
	live        map[string]*run.Invocation
	bodies      map[*run.Invocation]bool
	partial     map[run.Lease]*pb.Invocation
	refused     map[run.Lease]bool // whose outcome was refused, and then reported as a failure
	isDraining  bool
	canReceive  bool // whether more invocations may come on the stream
	isConnected bool
	connected   chan struct{} // closed while it is connected
}

func newExecutor(under context.Context, outbox *outbox, functions []Function, logger *slog.Logger) *executor {
	e := &executor{
		under: under, outbox: outbox, functions: map[string]Function{}, logger: logger, changed: make(chan struct{}, 1),
		live: map[string]*run.Invocation{}, bodies: map[*run.Invocation]bool{}, partial: map[run.Lease]*pb.Invocation{},
		refused: map[run.Lease]bool{}, connected: make(chan struct{}),
	}
	e.limits.Store(&limits.Limits{})
	for _, function := range functions {
		e.functions[function.Definition.GetFunctionId()] = function
	}
	return e
}

// isIdle tells whether nothing runs, and nothing waits to be acknowledged.
func (e *executor) isIdle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.bodies) == 0 && len(e.partial) == 0 && e.outbox.isEmpty()
}

// isQuiet tells whether no more work can come on the stream.
func (e *executor) isQuiet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.canReceive
}

// drain begins nothing more; what has not begun is handed back.
func (e *executor) drain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isDraining = true
	for lease := range e.partial {
		e.release(lease)
	}
	clear(e.partial)
}

// abandon stops everything at once, and hands it back: no failure of it is reported. Ask for no more before.
func (e *executor) abandon() {
	e.drain()
	e.mu.Lock()
	var all []*run.Invocation
	for _, invocation := range e.live {
		all = append(all, invocation)
	}
	e.mu.Unlock()
	for _, invocation := range all {
		invocation.Drop("the worker stops")
		e.outbox.release([]run.Lease{invocation.Lease})
	}
}

func (e *executor) release(lease run.Lease) {
	e.outbox.release([]run.Lease{lease})
	e.outbox.freeSlot()
}

// The owner of invocations.

// Limits are what the server refuses for good.
func (e *executor) Limits() limits.Limits { return *e.limits.Load() }

// IsSure tells whether the run was surely given to nobody else.
func (e *executor) IsSure(lease run.Lease) bool { return e.outbox.isSure(lease) }

// Report sends a report, and keeps it until it is acknowledged.
func (e *executor) Report(lease run.Lease, stepKey string, report *pb.Report) {
	e.outbox.put(lease, stepKey, report)
}

// FreeSlot says that an invocation needs its slot no longer.
func (e *executor) FreeSlot() { e.outbox.freeSlot() }

// Left says that the invocation needs no more acks and resolutions.
func (e *executor) Left(invocation *run.Invocation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live[invocation.Lease.RunID] == invocation {
		delete(e.live, invocation.Lease.RunID)
	}
}

// Emptied says that the user's function has ended.
func (e *executor) Emptied(invocation *run.Invocation) {
	e.mu.Lock()
	delete(e.bodies, invocation)
	e.mu.Unlock()
	e.change()
}

// What the server says.

func (e *executor) setLimits(told limits.Limits) { e.limits.Store(&told) }

// welcomed says that a stream is open; the lost leases are to be stopped.
func (e *executor) welcomed(lost []run.Lease) {
	if len(lost) > 0 {
		e.logger.Warn("invocations were given to others while this worker was not connected", "count", len(lost))
		for _, lease := range lost {
			e.drop(lease, "it was given to another worker")
		}
	}
	e.mu.Lock()
	e.canReceive, e.isConnected = true, true
	close(e.connected)
	var all []*run.Invocation
	for _, invocation := range e.live {
		all = append(all, invocation)
	}
	e.mu.Unlock()
	for _, invocation := range all {
		invocation.Reassured()
	}
}

// disconnected says that the stream is gone; another is being opened.
func (e *executor) disconnected() {
	e.mu.Lock()
	e.canReceive = false
	// The rest of their journals was on its way: no other stream has it.
	for lease := range e.partial {
		e.letGo(lease)
	}
	clear(e.partial)
	if e.isConnected {
		e.isConnected = false
		e.connected = make(chan struct{})
	}
	e.mu.Unlock()
	e.change()
}

// drainAcked says that no more work comes on this stream.
func (e *executor) drainAcked() {
	e.mu.Lock()
	e.canReceive = false
	e.mu.Unlock()
	e.change()
}

// settled says that acks came, which may have been the last.
func (e *executor) settled() {
	if e.outbox.isEmpty() {
		e.change()
	}
}

func (e *executor) change() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}
