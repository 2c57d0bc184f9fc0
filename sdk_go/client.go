package steplane

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"sync"

	"github.com/steplane/steplane/sdk_go/internal/codec"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	"github.com/steplane/steplane/sdk_go/internal/sending"
	"github.com/steplane/steplane/sdk_go/internal/transport"
	"github.com/steplane/steplane/sdk_go/internal/worker"
)

const (
	addressVariable  = "STEPLANE_ADDRESS"
	namespaceDefault = "default"
)

// ClientOpts say who an app is, and how it reaches the server.
type ClientOpts struct {
	// AppID is the app's id: letters, digits, ".", "_" and "-".
	AppID string
	// Address is host:port. If it is empty, it is that of the environment's STEPLANE_ADDRESS, else 127.0.0.1:7100.
	Address string
	// Namespace is the tenant or environment; "default" if empty.
	Namespace string
	// TLS is for a server with TLS: &tls.Config{} trusts the system's authorities. Nil is without TLS.
	TLS *tls.Config
	// Logger is where the SDK and functions log; [slog.Default] if nil.
	Logger *slog.Logger
}

// Client is an app, and its way to the server. It is made by [NewClient], and safe for use by several goroutines.
type Client interface {
	// AppID is the app's id.
	AppID() string

	// Send sends an event, and returns its id once it is on disk. It gives a [SendError] if the server refuses the event, or
	// can't be reached before the context's deadline, which is 30 seconds if it has none. In a function use step.Send, which
	// sends exactly once and keeps the trace.
	Send(ctx context.Context, event Event) (string, error)

	// SendMany sends a batch of events, all or nothing, and returns their ids in order.
	SendMany(ctx context.Context, events []Event) ([]string, error)

	// SendSignal sends a signal, with a value for JSON, to the run that waits for it, and returns that run's id. It gives a
	// [SendError] with the code NOT_FOUND if no run waits for it. A signal is never given twice: a call of which nobody knows
	// what became of it is not made again. In a function use step.SendSignal.
	SendSignal(ctx context.Context, signal string, data any) (string, error)

	// Worker makes a worker for the app's functions: Run it.
	Worker(opts WorkerOpts) *Worker

	// Serve serves the app's functions until SIGTERM or SIGINT, or the context ends, and drains: it is Serve of a worker with
	// these options, or with none.
	Serve(ctx context.Context, opts ...WorkerOpts) error

	// Close closes the connection that Send opened. Another Send opens it again.
	Close() error

	add(functions ...*function) error
}

// NewClient makes a client. It connects when that is needed. An [ArgumentError] says what is wrong with the options.
func NewClient(opts ClientOpts) (Client, error) {
	if opts.AppID == "" {
		return nil, fault.Argumentf("a client needs an app's id; set ClientOpts.AppID")
	}
	address := cmp.Or(opts.Address, os.Getenv(addressVariable), transport.AddressDefault)
	target, err := transport.NewTarget(address, opts.TLS)
	if err != nil {
		return nil, err
	}
	namespace := cmp.Or(opts.Namespace, namespaceDefault)
	return &client{
		appID: opts.AppID, namespace: namespace, target: target, logger: cmp.Or(opts.Logger, slog.Default()),
		sender: sending.New(target, namespace),
	}, nil
}

type client struct {
	appID, namespace string
	target           *transport.Target
	logger           *slog.Logger
	sender           *sending.Sender

	mu        sync.Mutex
	functions []*function
}

func (c *client) AppID() string { return c.appID }

func (c *client) Send(ctx context.Context, event Event) (string, error) {
	ids, err := c.SendMany(ctx, []Event{event})
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

func (c *client) SendMany(ctx context.Context, events []Event) ([]string, error) {
	batch := make([]codec.Event, len(events))
	for index, event := range events {
		batch[index] = codec.Event(event)
	}
	return c.sender.Send(ctx, batch)
}

func (c *client) SendSignal(ctx context.Context, signal string, data any) (string, error) {
	return c.sender.SendSignal(ctx, signal, data)
}

func (c *client) Close() error { return c.sender.Close() }

func (c *client) Serve(ctx context.Context, opts ...WorkerOpts) error {
	var one WorkerOpts
	switch len(opts) {
	case 0:
	case 1:
		one = opts[0]
	default:
		return fault.Argumentf("Serve takes the options of one worker, not of %d", len(opts))
	}
	return c.Worker(one).Serve(ctx)
}

func (c *client) Worker(opts WorkerOpts) *Worker {
	made, err := worker.New(worker.Opts{
		Target: c.target, Namespace: c.namespace, AppID: c.appID, Functions: c.served(opts.Functions),
		Slots: cmp.Or(opts.Slots, slotsDefault), DrainTime: cmp.Or(opts.DrainTimeout, drainTimeoutDefault), Logger: c.logger,
	})
	return &Worker{inner: made, err: err, logger: c.logger}
}

func (c *client) add(functions ...*function) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, added := range functions {
		for _, each := range c.functions {
			if each.ID() == added.ID() {
				return fault.Argumentf("function %s is defined twice", fault.Quote(added.ID()))
			}
		}
	}
	c.functions = append(c.functions, functions...)
	return nil
}

// served are these functions, or all, with their failure handlers, each once.
func (c *client) served(chosen []ServableFunction) []worker.Function {
	c.mu.Lock()
	defer c.mu.Unlock()
	var served []worker.Function
	for _, each := range c.functions {
		if chosen == nil || each.isOneOf(chosen) {
			served = append(served, worker.Function{Definition: each.definition, Handler: each.handler})
		}
	}
	return served
}
