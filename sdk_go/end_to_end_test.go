package steplane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/group"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/step"
)

type number struct {
	N int `json:"n"`
}

func TestAFunctionFansOutAndTheLineageIsOneTreeWithOneTrace(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	traces := make(chan string, 2)
	create(t, client, "load", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		users, err := step.Run(ctx, "fetch", func(context.Context) ([]string, error) { return []string{"ada", "grace"}, nil })
		if err != nil {
			return nil, err
		}
		var events []steplane.Event
		for _, user := range users {
			events = append(events, steplane.Event{Name: client.AppID() + "/email", Data: map[string]any{"user": user}})
		}
		return step.SendMany(ctx, "fan-out", events)
	})
	create(t, client, "email", steplane.FunctionOpts{}, func(ctx context.Context, input steplane.Input[struct{ User string }]) (any, error) {
		return step.Run(ctx, "write", func(ctx context.Context) (string, error) {
			traces <- steplane.CurrentTraceparent(ctx)
			return "to " + input.Event.Data.User, nil
		})
	})
	work(t, client, steplane.WorkerOpts{})
	traceparent := "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	id, err := client.Send(soon(t), steplane.Event{Name: client.AppID() + "/load", Traceparent: traceparent})
	if err != nil {
		t.Fatal(err)
	}
	house.completed(t, id)
	lineage, err := house.runs.GetLineage(soon(t), &pb.GetLineageRequest{EventId: id})
	if err != nil {
		t.Fatal(err)
	}
	if len(lineage.GetEvents()) != 3 || len(lineage.GetRuns()) != 3 {
		t.Errorf("there are %d events and %d runs", len(lineage.GetEvents()), len(lineage.GetRuns()))
	}
	for range 2 {
		if trace := receive(t, "a body", traces); trace[3:35] != traceparent[3:35] || trace[36:52] == traceparent[36:52] {
			t.Errorf("a step's trace context is %s", trace)
		}
	}
}

func TestEveryKindOfStepDoesWhatItSays(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "double", steplane.FunctionOpts{}, func(_ context.Context, input steplane.Input[number]) (any, error) {
		return 2 * input.Event.Data.N, nil
	})
	create(t, client, "answer", steplane.FunctionOpts{}, func(ctx context.Context, input steplane.Input[struct{ Signal string }]) (any, error) {
		answer := steplane.Event{Name: client.AppID() + "/answered", Data: number{7}}
		if _, err := step.Send(ctx, "answer", answer); err != nil {
			return nil, err
		}
		return step.SendSignal(ctx, "approve", input.Event.Data.Signal, map[string]any{"by": "grace"})
	})
	create(t, client, "all", steplane.FunctionOpts{}, func(ctx context.Context, input steplane.Input[any]) (any, error) {
		made, err := step.Run(ctx, "make", func(context.Context) (time.Time, error) { return time.Unix(0, 0).UTC(), nil })
		if err != nil {
			return nil, err
		}
		if err := step.Sleep(ctx, "nap", 20*time.Millisecond); err != nil {
			return nil, err
		}
		if err := step.SleepUntil(ctx, "past", time.Unix(1, 0)); err != nil {
			return nil, err
		}
		doubled, err := step.Invoke[int](ctx, "call", step.InvokeOpts{FunctionID: "double", Data: number{21}})
		if err != nil {
			return nil, err
		}
		signal := "approve/" + input.RunID
		results := group.Parallel(ctx,
			func(ctx context.Context) (any, error) {
				event, err := step.WaitForEvent[number](ctx, "wait", step.WaitForEventOpts{
					Event: client.AppID() + "/answered", If: "async.data.n > 3",
				})
				return event.Data.N, err
			},
			func(ctx context.Context) (any, error) {
				return step.WaitForSignal[map[string]string](ctx, "approval", step.WaitForSignalOpts{Signal: signal})
			},
			func(ctx context.Context) (any, error) {
				ask := steplane.Event{Name: client.AppID() + "/answer", Data: map[string]any{"signal": signal}}
				_, err := step.Send(ctx, "ask", ask)
				return nil, err
			},
		)
		if err := results.AnyError(); err != nil {
			return nil, err
		}
		_, err = step.WaitForEvent[any](ctx, "late", step.WaitForEventOpts{
			Event: client.AppID() + "/never", Timeout: 10 * time.Millisecond,
		})
		isLate := errors.Is(err, step.ErrEventNotReceived)
		_, err = step.WaitForSignal[any](ctx, "silent", step.WaitForSignalOpts{Signal: signal, Timeout: 10 * time.Millisecond})
		isSilent := errors.Is(err, step.ErrSignalNotReceived)
		return []any{made.Unix(), doubled, results[0].Value, results[1].Value, isLate, isSilent, input.Attempt}, nil
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "all", nil)
	is(t, []any{0, 42, 7, map[string]any{"by": "grace"}, true, true, 0}, house.completed(t, id))
	var keys []string
	for key := range house.journal(t, house.queued(t, id)) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if all := strings.Join(keys, " "); all != "approval#0 ask#0 call#0 late#0 make#0 nap#0 past#0 silent#0 wait#0" {
		t.Error(all)
	}
}

func TestWaitsForSeveralEvents(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	first, second := client.AppID()+"/first", client.AppID()+"/second"
	create(t, client, "waits", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		either := []step.WaitedEvent{{Event: first}, {Event: second}}
		anyOf, err := step.WaitForEvent[number](ctx, "any", step.WaitForEventOpts{AnyOf: either, SinceRun: true})
		if err != nil {
			return nil, err
		}
		allOf, err := step.WaitForEvents[number](ctx, "all", step.WaitForEventsOpts{AllOf: either, SinceRun: true})
		if err != nil {
			return nil, err
		}
		return []any{anyOf.Data.N, allOf[0].Data.N, allOf[1].Data.N, allOf[1].Name == second, allOf[0].TS.IsZero()}, nil
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "waits", nil)
	house.queued(t, id)
	for _, event := range []steplane.Event{{Name: second, Data: number{2}}, {Name: first, Data: number{1}}} {
		if _, err := client.Send(soon(t), event); err != nil {
			t.Fatal(err)
		}
	}
	is(t, []any{2, 1, 2, true, false}, house.completed(t, id))
}

func TestWhatFailsIsTriedAgainEachStepOnItsOwnAndTheBodyOnItsOwn(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	var stepTries, bodyTries atomic.Int64
	create(t, client, "flaky", steplane.FunctionOpts{}, func(ctx context.Context, input steplane.Input[any]) (any, error) {
		value, err := step.Run(ctx, "once", func(context.Context) (int64, error) {
			if tries := stepTries.Add(1); tries < 3 {
				return 0, errors.New("not yet")
			}
			return stepTries.Load(), nil
		})
		if err != nil {
			return nil, err
		}
		tries := bodyTries.Add(1)
		if input.Attempt < 2 {
			return nil, errors.New("later")
		}
		return []int64{value, tries}, nil
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, []int{3, 3}, house.completed(t, send(t, client, "flaky", nil)))
}

type cardDeclined struct{ reason string }

func (e *cardDeclined) Error() string { return e.reason }

func TestAStepThatFailedForGoodGivesAStepError(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	charge := func(ctx context.Context) error {
		_, err := step.Run(ctx, "charge", func(context.Context) (any, error) {
			return nil, &steplane.NonRetriableError{Err: &cardDeclined{"no"}}
		})
		return err
	}
	create(t, client, "caught", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		var failed *steplane.StepError
		if !errors.As(charge(ctx), &failed) {
			return nil, errors.New("no StepError")
		}
		return []string{failed.Name, failed.Message, failed.StepID, failed.StepKey, failed.Reason, failed.Error()}, nil
	})
	create(t, client, "uncaught", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return nil, charge(ctx)
	})
	create(t, client, "wrapped", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return nil, fmt.Errorf("the order: %w", charge(ctx))
	})
	work(t, client, steplane.WorkerOpts{})
	caught := []string{"cardDeclined", "no", "charge", "charge#0", "", "step 'charge' failed: cardDeclined: no"}
	is(t, caught, house.completed(t, send(t, client, "caught", nil)))
	uncaught := house.failed(t, send(t, client, "uncaught", nil))
	if uncaught.GetName() != "cardDeclined" || uncaught.GetMessage() != "no" || uncaught.GetStepKey() != "charge#0" {
		t.Errorf("it failed with %v", uncaught)
	}
	wrapped := house.failed(t, send(t, client, "wrapped", nil))
	if wrapped.GetMessage() != "the order: step 'charge' failed: cardDeclined: no" {
		t.Errorf("it failed with %v", wrapped)
	}
}

func TestAStepCanHaveARetryPolicyOfItsOwn(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	var tries atomic.Int64
	create(t, client, "own", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		retry := &steplane.Retry{Attempts: 2, FirstDelay: time.Millisecond}
		_, err := step.Run(ctx, "twice", func(context.Context) (any, error) {
			tries.Add(1)
			return nil, errors.New("no")
		}, step.RunOpts{Retry: retry})
		return tries.Load(), ignored(err)
	})
	work(t, client, steplane.WorkerOpts{})
	is(t, 2, house.completed(t, send(t, client, "own", nil)))
}

func TestAFailureHandlerIsToldOfTheRunThatFailed(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	told := make(chan steplane.FunctionFailed, 1)
	opts := steplane.FunctionOpts{
		Retries: steplane.IntPtr(0),
		OnFailure: func(_ context.Context, input steplane.Input[steplane.FunctionFailed]) (any, error) {
			told <- input.Event.Data
			return nil, nil
		},
	}
	create(t, client, "doomed", opts, func(context.Context, steplane.Input[any]) (any, error) {
		return nil, &cardDeclined{"bad luck"}
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "doomed", number{1})
	failed := receive(t, "the failure handler", told)
	is(t, []any{client.AppID() + "/doomed", id, "cardDeclined", "bad luck", map[string]any{"n": 1}},
		text(t, []any{failed.FunctionID, failed.Event.ID, failed.Error.Name, failed.Error.Message, failed.Event.Data}))
}

func TestALoggerIsSilentDuringReplay(t *testing.T) {
	house := sharedHouse(t)
	log := &lines{}
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "talks", Address: house.address, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	create(t, client, "talks", steplane.FunctionOpts{}, func(ctx context.Context, input steplane.Input[any]) (any, error) {
		calls.Add(1)
		input.Logger.Info("begins")
		if err := step.Sleep(ctx, "nap", 10*time.Millisecond); err != nil {
			return nil, err
		}
		input.Logger.With("a", 1).WithGroup("g").Info("goes on", "b", 2)
		return nil, nil
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "talks", nil)
	house.completed(t, id)
	runID := house.queued(t, id)
	attributes := " function=talks run_id=" + runID
	is(t, []string{"msg=begins" + attributes, "msg=\"goes on\"" + attributes + " a=1 g.b=2"}, text(t, log.matching(attributes)))
	if calls.Load() < 2 {
		t.Error("it was not called again")
	}
}

func TestARunThatWaitsNeedsNoSlot(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "sleeper", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return nil, step.Sleep(ctx, "long", time.Hour)
	})
	create(t, client, "quick", steplane.FunctionOpts{}, func(context.Context, steplane.Input[any]) (any, error) {
		return "done", nil
	})
	work(t, client, steplane.WorkerOpts{Slots: 1})
	for range 3 {
		house.parked(t, send(t, client, "sleeper", nil))
	}
	is(t, "done", house.completed(t, send(t, client, "quick", nil)))
}

func TestABatchIsGivenAllOfItsEvents(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	opts := steplane.FunctionOpts{BatchEvents: &steplane.Batch{MaxSize: 2, Timeout: time.Minute}}
	create(t, client, "batch", opts, func(_ context.Context, input steplane.Input[number]) (any, error) {
		return []int{input.Event.Data.N, input.Events[0].Data.N, input.Events[1].Data.N}, nil
	})
	work(t, client, steplane.WorkerOpts{})
	name := client.AppID() + "/batch"
	ids, err := client.SendMany(soon(t), []steplane.Event{{Name: name, Data: number{1}}, {Name: name, Data: number{2}}})
	if err != nil {
		t.Fatal(err)
	}
	is(t, []int{1, 1, 2}, house.completed(t, ids[0]))
}

// ignored is nil for the error of a step that failed.
func ignored(err error) error {
	var failed *steplane.StepError
	if errors.As(err, &failed) {
		return nil
	}
	return err
}
