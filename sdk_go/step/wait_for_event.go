package step

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
)

const waitedEventsMax = 10

// ErrEventNotReceived is what [WaitForEvent] and [WaitForEvents] give once their time-out has passed.
var ErrEventNotReceived error = &fault.NonRetriableError{Message: "the event was not received in time"}

// WaitForEventOpts say which event [WaitForEvent] waits for.
type WaitForEventOpts struct {
	// Event is the event's name; a "*" at its end matches any rest.
	Event string
	// Match is a path, for example "data.user_id", that has to have the same value in the event that started the run and in
	// this one.
	Match string
	// If is a CEL expression over event, which started the run, and async, which is this one, that has to be true. Not together
	// with Match.
	If string
	// AnyOf has several events instead, up to 10: the first of them that comes ends the wait.
	AnyOf []WaitedEvent
	// Timeout is how long: up to 366 days, which 0 stands for.
	Timeout time.Duration
	// Since has events count that came before this step: from this moment on.
	Since time.Time
	// SinceRun has those count that came after the run was made. So nobody has to wait before somebody else answers.
	SinceRun bool
}

// WaitForEventsOpts say which events [WaitForEvents] waits for.
type WaitForEventsOpts struct {
	// AllOf are the events: up to 10.
	AllOf []WaitedEvent
	// Timeout is how long: up to 366 days, which 0 stands for.
	Timeout time.Duration
	// Since has events count that came before this step: from this moment on.
	Since time.Time
	// SinceRun has those count that came after the run was made.
	SinceRun bool
}

// WaitedEvent is one of several events that are waited for: its fields are those of [WaitForEventOpts].
type WaitedEvent struct {
	Event string
	Match string
	If    string
}

// WaitForEvent waits for an event, and returns it. T is the type of its data. [ErrEventNotReceived] says that the time-out has
// passed.
//
// What came before this step is no answer, unless Since or SinceRun says so.
func WaitForEvent[T any](ctx context.Context, id string, opts WaitForEventOpts) (steplane.GenericEvent[T], error) {
	var event steplane.GenericEvent[T]
	entry, err := ask(ctx, id, replay.WaitForEvent,
		func(reports report.Maker, call *replay.Call, _ limits.Limits) (*pb.Report, error) {
			events, err := opts.events(id)
			if err != nil {
				return nil, err
			}
			return waitStarted(reports, call, waiting{id, events, opts.Timeout, opts.Since, opts.SinceRun, false})
		})
	if err != nil {
		return event, err
	}
	if isNull(entry) {
		return event, ErrEventNotReceived
	}
	return decoded[steplane.GenericEvent[T]](entry)
}

// WaitForEvents waits for several events, and returns all of them, in the order in which they were asked for. Otherwise it is as
// [WaitForEvent].
func WaitForEvents[T any](ctx context.Context, id string, opts WaitForEventsOpts) ([]steplane.GenericEvent[T], error) {
	entry, err := ask(ctx, id, replay.WaitForEvent,
		func(reports report.Maker, call *replay.Call, _ limits.Limits) (*pb.Report, error) {
			return waitStarted(reports, call, waiting{id, opts.AllOf, opts.Timeout, opts.Since, opts.SinceRun, true})
		})
	if err != nil {
		return nil, err
	}
	if isNull(entry) {
		return nil, ErrEventNotReceived
	}
	return decoded[[]steplane.GenericEvent[T]](entry)
}

// events are those that are waited for: the one, or several.
func (o WaitForEventOpts) events(id string) ([]WaitedEvent, error) {
	one := WaitedEvent{o.Event, o.Match, o.If}
	if o.AnyOf == nil {
		if o.Event == "" {
			return nil, nil
		}
		return []WaitedEvent{one}, nil
	}
	if one != (WaitedEvent{}) {
		return nil, fault.Argumentf("step %s: Event, Match and If are for a single event; say all in AnyOf", fault.Quote(id))
	}
	return o.AnyOf, nil
}

// waiting is a wait for events.
type waiting struct {
	id       string
	events   []WaitedEvent
	timeout  time.Duration
	since    time.Time
	sinceRun bool
	isForAll bool
}

func waitStarted(reports report.Maker, call *replay.Call, w waiting) (*pb.Report, error) {
	if len(w.events) == 0 {
		return nil, fault.Argumentf("step %s waits for no event; name one by Event", fault.Quote(w.id))
	}
	if len(w.events) > waitedEventsMax {
		return nil, fault.Argumentf("step %s waits for %d events; %d are the most", fault.Quote(w.id), len(w.events), waitedEventsMax)
	}
	length, err := timeout(w.id, w.timeout)
	if err != nil {
		return nil, err
	}
	wait := &pb.WaitStarted{AllOf: w.isForAll, Timeout: length}
	for _, each := range w.events {
		event, err := each.waited(w.id)
		if err != nil {
			return nil, err
		}
		wait.Events = append(wait.Events, event)
	}
	switch {
	case w.sinceRun && !w.since.IsZero():
		return nil, fault.Argumentf("step %s: Since and SinceRun exclude each other", fault.Quote(w.id))
	case w.sinceRun:
		wait.Past = &pb.WaitStarted_SinceRun{SinceRun: true}
	case !w.since.IsZero():
		wait.Past = &pb.WaitStarted_Since{Since: timestamppb.New(w.since)}
	}
	return reports.WaitStarted(call, wait), nil
}

func (e WaitedEvent) waited(id string) (*pb.WaitedEvent, error) {
	if err := checkName(id, "Event", e.Event); err != nil {
		return nil, err
	}
	if e.Match != "" && e.If != "" {
		return nil, fault.Argumentf("step %s: event %s has Match and If; say both in If: 'event.%s == async.%s && ...'",
			fault.Quote(id), fault.Quote(e.Event), e.Match, e.Match)
	}
	return &pb.WaitedEvent{Event: e.Event, Match: e.Match, Expression: e.If}, nil
}
