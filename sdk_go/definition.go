package steplane

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/policy"
)

// define gives a function's settings as the server is told them. It checks all of them: here only what can't be told is refused.
func define(appID string, opts FunctionOpts, trigger Trigger) (*pb.FunctionDefinition, error) {
	d := definer{functionID: opts.ID}
	definition := &pb.FunctionDefinition{AppId: appID, FunctionId: opts.ID, Name: opts.Name}
	if trigger == nil {
		d.refuse("trigger", "it needs one: EventTrigger, CronTrigger, or Triggers")
	} else {
		definition.Triggers = trigger.triggers()
	}
	definition.Retry = d.retry(opts.Retries, opts.Retry)
	for _, each := range opts.Cancel {
		definition.Cancel = append(definition.Cancel, &pb.CancelOn{
			Event: each.Event, Match: each.Match, Expression: each.If, Timeout: orNone(each.Timeout),
		})
	}
	for _, each := range opts.Concurrency {
		definition.Concurrency = append(definition.Concurrency, &pb.ConcurrencyLimit{
			Limit: d.count("Concurrency.Limit", each.Limit), Key: each.Key,
			Scope: oneOf(&d, "Concurrency.Scope", scopes, each.Scope), Hold: oneOf(&d, "Concurrency.Hold", holds, each.Hold),
		})
	}
	if it := opts.BatchEvents; it != nil {
		definition.Batch = &pb.Batch{
			MaxSize: d.count("BatchEvents.MaxSize", it.MaxSize), Timeout: durationpb.New(it.Timeout), Key: it.Key, Expression: it.If,
		}
	}
	if it := opts.Debounce; it != nil {
		definition.Debounce = &pb.Debounce{Period: durationpb.New(it.Period), Key: it.Key, Timeout: orNone(it.Timeout)}
	}
	if it := opts.Priority; it != nil {
		definition.Priority = &pb.Priority{Run: it.Run}
	}
	if it := opts.RateLimit; it != nil {
		limit := d.count("RateLimit.Limit", it.Limit)
		definition.RateLimit = &pb.RateLimit{Limit: limit, Period: durationpb.New(it.Period), Key: it.Key}
	}
	if it := opts.Singleton; it != nil {
		definition.Singleton = &pb.Singleton{Key: it.Key, Mode: oneOf(&d, "Singleton.Mode", modes, it.Mode)}
	}
	if it := opts.Throttle; it != nil {
		definition.Throttle = &pb.Throttle{
			Limit: d.count("Throttle.Limit", it.Limit), Period: durationpb.New(it.Period),
			Burst: d.count("Throttle.Burst", it.Burst), Key: it.Key,
		}
	}
	if it := opts.Timeouts; it != nil {
		definition.Timeouts = &pb.Timeouts{Start: orNone(it.Start), Finish: orNone(it.Finish)}
	}
	if opts.Idempotency != "" {
		definition.Idempotency = &pb.Idempotency{Key: opts.Idempotency}
	}
	return definition, d.err
}

// definer translates the options of one function, and keeps the first thing that is wrong.
type definer struct {
	functionID string
	err        error
}

func (d *definer) refuse(option, format string, arguments ...any) {
	if d.err == nil {
		why := fmt.Sprintf(format, arguments...)
		d.err = fault.Argumentf("function %s: %s: %s", fault.Quote(d.functionID), option, why)
	}
}

func (d *definer) retry(retries *int, retry *Retry) *pb.RetryPolicy {
	switch {
	case retry != nil && retries != nil:
		d.refuse("Retry", "give Retry or Retries, not both: Retry{Attempts: %d} has %d retries", *retries+1, *retries)
	case retry != nil:
		made, err := policy.Of(policy.Retry(*retry))
		if err != nil {
			d.refuse("Retry", "%v", err)
		}
		return made
	case retries != nil:
		count := d.count("Retries", *retries)
		return &pb.RetryPolicy{Retries: &count}
	}
	return nil
}

func (d *definer) count(option string, number int) uint32 {
	if number < 0 || number > math.MaxUint32 {
		d.refuse(option, "it is a number of 0 or more, not %d", number)
		return 0
	}
	return uint32(number)
}

// choice is what an option can be, and how the wire has it. The first is the default.
type choice[K ~string, V any] struct {
	name K
	wire V
}

var (
	scopes = []choice[ConcurrencyScope, pb.ConcurrencyScope]{
		{ScopeFunction, pb.ConcurrencyScope_CONCURRENCY_SCOPE_FUNCTION},
		{ScopeApp, pb.ConcurrencyScope_CONCURRENCY_SCOPE_APP},
		{ScopeNamespace, pb.ConcurrencyScope_CONCURRENCY_SCOPE_NAMESPACE},
	}
	holds = []choice[ConcurrencyHold, pb.ConcurrencyHold]{
		{HoldInvocation, pb.ConcurrencyHold_CONCURRENCY_HOLD_INVOCATION},
		{HoldRun, pb.ConcurrencyHold_CONCURRENCY_HOLD_RUN},
	}
	modes = []choice[SingletonMode, pb.SingletonMode]{
		{SingletonSkip, pb.SingletonMode_SINGLETON_MODE_SKIP},
		{SingletonCancel, pb.SingletonMode_SINGLETON_MODE_CANCEL},
	}
)

func oneOf[K ~string, V any](d *definer, option string, choices []choice[K, V], chosen K) V {
	if chosen == "" {
		return choices[0].wire
	}
	index := slices.IndexFunc(choices, func(each choice[K, V]) bool { return each.name == chosen })
	if index < 0 {
		names := make([]string, len(choices))
		for place, each := range choices {
			names[place] = fault.Quote(string(each.name))
		}
		d.refuse(option, "%s is none of %s", fault.Quote(string(chosen)), strings.Join(names, ", "))
		index = 0
	}
	return choices[index].wire
}

// orNone is a duration for the wire; 0 stands for none.
func orNone(length time.Duration) *durationpb.Duration {
	if length == 0 {
		return nil
	}
	return durationpb.New(length)
}
