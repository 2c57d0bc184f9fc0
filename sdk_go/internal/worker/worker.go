package worker

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	"github.com/steplane/steplane/sdk_go/internal/transport"
)

const (
	// drainAckTime: the server says at once that it sends no more; one that does not is not waited for longer.
	drainAckTime = 5 * time.Second

	hostBytesMax = 64
)

var errEnded = errors.New("the worker has ended")

// Opts are the parts of a worker.
type Opts struct {
	Target    *transport.Target
	Namespace string
	AppID     string
	Functions []Function
	Slots     int
	DrainTime time.Duration
	Logger    *slog.Logger
}

// Worker takes runs of an app's functions and executes them. It runs once.
type Worker struct {
	opts     Opts
	executor *executor
	session  *session
	hasRun   atomic.Bool

	stopping, halting context.Context
	stop, halt        context.CancelFunc
	ended             chan struct{}
	mu                sync.Mutex
	refusal           error
}

// New makes a worker.
func New(opts Opts) (*Worker, error) {
	if opts.Slots < 1 {
		return nil, fault.Argumentf("a worker needs 1 slot or more, not %d", opts.Slots)
	}
	if len(opts.Functions) == 0 {
		return nil, fault.Argumentf("a worker needs a function; define one with steplane.CreateFunction")
	}
	w := &Worker{opts: opts, ended: make(chan struct{})}
	w.stopping, w.stop = context.WithCancel(context.Background())
	w.halting, w.halt = context.WithCancel(context.Background())
	outbox := newOutbox(opts.Slots)
	w.executor = newExecutor(context.Background(), outbox, opts.Functions, opts.Logger)
	w.session = &session{
		target: opts.Target, outbox: outbox, executor: w.executor, logger: opts.Logger, onRefused: w.refuse,
		identity: Identity{Namespace: opts.Namespace, AppID: opts.AppID, InstanceID: instanceID()},
		warned:   map[string]bool{},
	}
	for _, function := range opts.Functions {
		w.session.definitions = append(w.session.definitions, function.Definition)
	}
	return w, nil
}

// Run runs until the context ends, or Stop is called, and then drains: it takes nothing more, and ends what runs. Functions
// get the values of the context, but not its end.
func (w *Worker) Run(ctx context.Context) error {
	if w.hasRun.Swap(true) {
		return fault.Argumentf("a worker runs once; make another with client.Worker")
	}
	defer close(w.ended)
	w.executor.under = context.WithoutCancel(ctx)
	leaving, leave := context.WithCancel(context.Background())
	w.session.stopping = leaving
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.session.run()
	}()
	select {
	case <-ctx.Done():
	case <-w.stopping.Done():
	}
	err := w.refused()
	if err == nil {
		w.drain()
	}
	// First of all no more work, or what is handed back would come right here again.
	w.session.drain()
	w.executor.abandon()
	leave()
	<-ended
	return err
}

// Stop drains, and lets Run return.
func (w *Worker) Stop() { w.stop() }

// Halt stops what runs without waiting for it, hands it back, and lets Run return.
func (w *Worker) Halt() {
	w.halt()
	w.stop()
}

// IsConnected tells whether the server gives it work just now.
func (w *Worker) IsConnected() bool {
	w.executor.mu.Lock()
	defer w.executor.mu.Unlock()
	return w.executor.isConnected
}

// Connected returns once it is connected, and its functions are registered; with an error if it, or the context, ends before.
func (w *Worker) Connected(ctx context.Context) error {
	w.executor.mu.Lock()
	connected := w.executor.connected
	w.executor.mu.Unlock()
	select {
	case <-connected:
		return nil
	case <-w.ended:
		return cmp.Or(w.refused(), errEnded)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Worker) drain() {
	w.opts.Logger.Info("draining: no new runs are taken; those that run have some time to end or to park",
		"drain_time", w.opts.DrainTime)
	w.executor.drain()
	w.session.drain()
	w.wait(drainAckTime, w.executor.isQuiet)
	if !w.wait(w.opts.DrainTime, w.executor.isIdle) && w.halting.Err() == nil {
		w.opts.Logger.Warn("the drain took too long: what still runs is stopped and handed back", "drain_time", w.opts.DrainTime)
	}
}

// wait waits until something is so, and tells whether it became so in time.
func (w *Worker) wait(longest time.Duration, isSo func() bool) bool {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for !isSo() {
		select {
		case <-w.executor.changed:
		case <-timer.C:
			return false
		case <-w.halting.Done():
			return false
		}
	}
	return true
}

func (w *Worker) refuse(err error) {
	w.mu.Lock()
	w.refusal = err
	w.mu.Unlock()
	w.stop()
}

func (w *Worker) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

// instanceID is unique to this worker, the same on each of its streams.
func instanceID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var chance [8]byte
	_, _ = rand.Read(chance[:])
	return fmt.Sprintf("%s-%d-%s", host[:min(len(host), hostBytesMax)], os.Getpid(), hex.EncodeToString(chance[:]))
}
