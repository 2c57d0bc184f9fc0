package steplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/worker"
)

const (
	slotsDefault        = 100
	drainTimeoutDefault = 30 * time.Second
)

// ErrHalted says that a worker was stopped at once, by a second signal.
var ErrHalted = errors.New("the worker was stopped at once, by a second signal")

// WorkerOpts say what a worker takes.
type WorkerOpts struct {
	// Functions are what it serves, with their failure handlers; all of the app's if nil.
	Functions []ServableFunction
	// Slots are how many runs it executes at the same time; 100 if 0. A run that sleeps or waits has no slot.
	Slots int
	// DrainTimeout is for how long it lets end what runs, once it is told to stop; 30 seconds if 0.
	DrainTimeout time.Duration
}

// Worker takes runs of an app's functions and executes them. It is made by [Client], and runs once.
type Worker struct {
	inner  *worker.Worker
	err    error
	logger *slog.Logger
}

// Run runs until the context ends, or [Worker.Stop] is called; then it drains: it takes nothing more, lets end or park what runs
// for up to the drain's time-out, and hands back the rest. The contexts of functions have the values of ctx, but not its end.
//
// It gives nil after that, a [RegistrationError] if the server refuses a function, or an [ArgumentError] for options that can't
// be. A connection that is lost, or can't be made, is no error: it is logged, and tried again for ever.
func (w *Worker) Run(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	return w.inner.Run(ctx)
}

// Serve is [Worker.Run] for a process of its own: SIGTERM and SIGINT drain. At a second signal it stops at once, and gives
// [ErrHalted].
func (w *Worker) Serve(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	ended := make(chan error, 1)
	go func() { ended <- w.inner.Run(ctx) }()
	isHalted := false
	for isStopping := false; ; isStopping = true {
		select {
		case err := <-ended:
			if isHalted && err == nil {
				return ErrHalted
			}
			return err
		case got := <-signals:
			if isStopping {
				isHalted = true
				w.inner.Halt()
				continue
			}
			w.logger.Warn(fmt.Sprintf("%s: ending what runs, and taking nothing more; again to stop at once", got))
			w.inner.Stop()
		}
	}
}

// Stop drains, and lets [Worker.Run] return.
func (w *Worker) Stop() {
	if w.err == nil {
		w.inner.Stop()
	}
}

// IsConnected tells whether the server gives it work just now: for a health check.
func (w *Worker) IsConnected() bool { return w.err == nil && w.inner.IsConnected() }

// Connected returns once it is connected, and its functions are registered. It gives an error if the worker, or the context, ends
// before.
func (w *Worker) Connected(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	return w.inner.Connected(ctx)
}
