package steplane

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/steplane/steplane/sdk_go/internal/codec"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// Handler is the code of a function. T is the type of its event's data: a struct, a map, or any. What it returns has to be JSON.
//
// An error is tried again as the function's options say, with all that is recorded; a [NonRetriableError] and all errors of the
// SDK are not, and a [RetryAfterError] says when.
type Handler[T any] func(ctx context.Context, input Input[T]) (any, error)

// Input is what a function is given.
type Input[T any] struct {
	// Event is the event that started the run.
	Event GenericEvent[T]
	// Events are all events that started the run: one, or those of a batch.
	Events []GenericEvent[T]
	// RunID is the run's id.
	RunID string
	// Attempt is how often the function failed outside of steps before: 0 in its first try.
	Attempt int
	// Traceparent is the run's W3C trace context; in the body of a step use [CurrentTraceparent].
	Traceparent string
	// Logger logs what happens in this run, once: it is silent while recorded steps are walked over. Its lines have a run_id and
	// the function.
	Logger *slog.Logger
}

// FunctionOpts say who a function is, and how it is run. Only ID is needed. What can't be is told by [CreateFunction], or by
// the server when a worker connects.
type FunctionOpts struct {
	// ID is the function's id inside its app: letters, digits, ".", "_" and "-".
	ID string
	// Name is what people call it; the id if empty.
	Name string

	// Retries is how often a failed step, and a function that failed outside of steps, are tried again: after 15 s, 30 s, 1, 2,
	// 5, … minutes, and up to 30 s more by chance. 4 times if nil.
	Retries *int
	// Retry says how often, and when. Not together with Retries.
	Retry *Retry

	// BatchEvents has one run for many events.
	BatchEvents *Batch
	// Cancel has events that cancel runs: up to 5.
	Cancel []Cancel
	// Concurrency bounds how many run at once: up to 2 limits.
	Concurrency []Concurrency
	// Debounce has one run once events have been quiet for a while.
	Debounce *Debounce
	// Idempotency is a CEL expression over event: one run for each of its values in 24 hours.
	Idempotency string
	// Priority moves a run in the queue of the function.
	Priority *Priority
	// RateLimit bounds how many runs start in a period; what is more is skipped.
	RateLimit *RateLimit
	// Singleton has one run at a time.
	Singleton *Singleton
	// Throttle bounds how many runs start in a period; what is more waits.
	Throttle *Throttle
	// Timeouts cancel a run that takes too long.
	Timeouts *Timeouts

	// OnFailure is a function as well, with retries of its own: it runs once a run has failed for good. Its event tells of that
	// run. Its id is that of the function, with "-on-failure".
	OnFailure Handler[FunctionFailed]
}

// ServableFunction is a function that a worker can serve. It is made by [CreateFunction].
type ServableFunction interface {
	// ID is the function's id inside its app.
	ID() string
	// FullyQualifiedID is the app's id, a slash, and the function's: what step.Invoke takes.
	FullyQualifiedID() string
	// Name is what people call it.
	Name() string

	self() *function
}

// CreateFunction defines a function: trigger starts it, and handler is its code. A worker made later serves it.
//
// An [ArgumentError] says what can't be.
func CreateFunction[T any](client Client, opts FunctionOpts, trigger Trigger, handler Handler[T]) (ServableFunction, error) {
	if handler == nil {
		return nil, fault.Argumentf("function %s: it needs a handler", fault.Quote(opts.ID))
	}
	definition, err := define(client.AppID(), opts, trigger)
	if err != nil {
		return nil, err
	}
	made := &function{definition: definition, handler: handlerOf(handler)}
	functions := []*function{made}
	if opts.OnFailure != nil {
		if made.onFailure, err = failureHandler(definition, opts.OnFailure); err != nil {
			return nil, err
		}
		functions = append(functions, made.onFailure)
	}
	if err := client.add(functions...); err != nil {
		return nil, err
	}
	return made, nil
}

type function struct {
	definition *pb.FunctionDefinition
	handler    run.Handler
	onFailure  *function
}

func (f *function) ID() string { return f.definition.GetFunctionId() }

func (f *function) FullyQualifiedID() string { return f.definition.GetAppId() + "/" + f.ID() }

func (f *function) Name() string {
	if name := f.definition.GetName(); name != "" {
		return name
	}
	return f.ID()
}

func (f *function) self() *function { return f }

// isOneOf tells whether it is one of these, or the failure handler of one.
func (f *function) isOneOf(chosen []ServableFunction) bool {
	for _, each := range chosen {
		if one := each.self(); one == f || one.onFailure == f {
			return true
		}
	}
	return false
}

func failureHandler(of *pb.FunctionDefinition, handler Handler[FunctionFailed]) (*function, error) {
	name := of.GetName()
	if name == "" {
		name = of.GetFunctionId()
	}
	expression := fmt.Sprintf(`event.data.function_id == "%s/%s"`, of.GetAppId(), of.GetFunctionId())
	opts := FunctionOpts{ID: of.GetFunctionId() + "-on-failure", Name: name + " (failure handler)"}
	definition, err := define(of.GetAppId(), opts, EventTrigger(eventFailed, &expression))
	if err != nil {
		return nil, err
	}
	return &function{definition: definition, handler: handlerOf(handler)}, nil
}

func handlerOf[T any](handler Handler[T]) run.Handler {
	return func(ctx context.Context, start run.Start) (any, error) {
		input := Input[T]{
			RunID: start.RunID, Attempt: start.Attempt, Traceparent: start.Traceparent, Logger: start.Logger,
		}
		for _, message := range start.Events {
			event, err := eventOf[T](message)
			if err != nil {
				return nil, err
			}
			input.Events = append(input.Events, event)
		}
		if len(input.Events) > 0 {
			input.Event = input.Events[0]
		}
		return handler(ctx, input)
	}
}

func eventOf[T any](message *pb.Event) (GenericEvent[T], error) {
	event := GenericEvent[T]{
		ID: message.GetId(), Name: message.GetName(), TS: message.GetTs().AsTime(),
		Traceparent: message.GetTraceparent(), Tracestate: message.GetTracestate(),
	}
	data := message.GetData().GetData()
	if len(data) == 0 {
		data = []byte("{}")
	}
	if err := codec.Decode(data, message.GetData().GetEncoding(), &event.Data); err != nil {
		return event, fault.Argumentf("the data of event %s are no %s: %v", fault.Quote(event.Name), reflect.TypeFor[T](), err)
	}
	return event, nil
}
