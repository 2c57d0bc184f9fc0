package steplane_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/group"
	"github.com/steplane/steplane/sdk_go/step"
)

// misuses are what can't be, each with what it gives: one of the errors, with this text.
var misuses = map[string]struct {
	do   func(ctx context.Context) error
	kind any
	text string
}{
	"empty id": {
		func(ctx context.Context) error { return step.Sleep(ctx, "", time.Second) },
		new(*steplane.StepIDError), "step id '' is empty",
	},
	"long id": {
		func(ctx context.Context) error { return step.Sleep(ctx, strings.Repeat("é", 126), time.Second) },
		new(*steplane.StepIDError), "step id '" + strings.Repeat("é", 64) + "' has 252 bytes; 251 are the most",
	},
	"control character": {
		func(ctx context.Context) error { return step.Sleep(ctx, "a\nb", time.Second) },
		new(*steplane.StepIDError), `step id 'a\nb' has control characters`,
	},
	"bytes that are no text": {
		func(ctx context.Context) error { return step.Sleep(ctx, "a\xff", time.Second) },
		new(*steplane.StepIDError), `step id 'a\xff' is not valid Unicode`,
	},
	"long sleep": {
		func(ctx context.Context) error { return step.Sleep(ctx, "s", 367*24*time.Hour) },
		new(*steplane.ArgumentError), "step 's': the length is 8808h0m0s; 366 days are the most",
	},
	"no moment": {
		func(ctx context.Context) error { return step.SleepUntil(ctx, "s", time.Time{}) },
		new(*steplane.ArgumentError), "step 's': the moment to sleep until is not set",
	},
	"wait for nothing": {
		func(ctx context.Context) error { return waitFor(ctx, step.WaitForEventOpts{}) },
		new(*steplane.ArgumentError), "step 'w' waits for no event; name one by Event",
	},
	"wait for too many": {
		func(ctx context.Context) error {
			return waitFor(ctx, step.WaitForEventOpts{AnyOf: make([]step.WaitedEvent, 11)})
		},
		new(*steplane.ArgumentError), "step 'w' waits for 11 events; 10 are the most",
	},
	"wait for an event without a name": {
		func(ctx context.Context) error {
			return waitFor(ctx, step.WaitForEventOpts{AnyOf: make([]step.WaitedEvent, 1)})
		},
		new(*steplane.ArgumentError), "step 'w': Event is a name, not ''",
	},
	"one event and several": {
		func(ctx context.Context) error {
			return waitFor(ctx, step.WaitForEventOpts{Event: "a/b", AnyOf: []step.WaitedEvent{{Event: "a/c"}}})
		},
		new(*steplane.ArgumentError), "step 'w': Event, Match and If are for a single event; say all in AnyOf",
	},
	"match and expression": {
		func(ctx context.Context) error {
			return waitFor(ctx, step.WaitForEventOpts{Event: "a/b", Match: "data.id", If: "true"})
		},
		new(*steplane.ArgumentError),
		"step 'w': event 'a/b' has Match and If; say both in If: 'event.data.id == async.data.id && ...'",
	},
	"negative time-out": {
		func(ctx context.Context) error { return waitFor(ctx, step.WaitForEventOpts{Event: "a/b", Timeout: -1}) },
		new(*steplane.ArgumentError), "step 'w': Timeout is -1ns; it can't be negative",
	},
	"two moments": {
		func(ctx context.Context) error {
			return waitFor(ctx, step.WaitForEventOpts{Event: "a/b", Since: time.Unix(1, 0), SinceRun: true})
		},
		new(*steplane.ArgumentError), "step 'w': Since and SinceRun exclude each other",
	},
	"invoke nobody": {
		func(ctx context.Context) error { return invoke(ctx, step.InvokeOpts{}) },
		new(*steplane.ArgumentError), "step 'i': FunctionID is a name, not ''",
	},
	"invoke with a list": {
		func(ctx context.Context) error { return invoke(ctx, step.InvokeOpts{FunctionID: "f", Data: []int{1}}) },
		new(*steplane.NotSerializableError),
		"the data of step 'i' is a []int; it has to be a struct or a map, as an event's is",
	},
	"invoke with too much": {
		func(ctx context.Context) error {
			return invoke(ctx, step.InvokeOpts{FunctionID: "f", Data: map[string]any{"a": strings.Repeat("x", 600_000)}})
		},
		new(*steplane.TooLargeError),
		"the data of step 'i' has 600008 bytes; 524288 are the most. Store it elsewhere and say where",
	},
	"signal without a name": {
		func(ctx context.Context) error {
			_, err := step.SendSignal(ctx, "s", "", nil)
			return err
		},
		new(*steplane.ArgumentError), "step 's': the signal is a name, not ''",
	},
	"signal conflict": {
		func(ctx context.Context) error {
			_, err := step.WaitForSignal[any](ctx, "s", step.WaitForSignalOpts{Signal: "a", OnConflict: "win"})
			return err
		},
		new(*steplane.ArgumentError), "step 's': OnConflict is 'fail' or 'replace', not 'win'",
	},
	"send a list": {
		func(ctx context.Context) error {
			_, err := step.Send(ctx, "s", steplane.Event{Name: "a/b", Data: []int{1}})
			return err
		},
		new(*steplane.NotSerializableError), "the data of event 0 ('a/b') is a []int; it has to be a struct or a map",
	},
	"send what is no JSON": {
		func(ctx context.Context) error {
			_, err := step.Send(ctx, "s", steplane.Event{Name: "a/b", Data: map[string]any{"a": math.NaN()}})
			return err
		},
		new(*steplane.NotSerializableError),
		"the data of event 0, 'a/b' is not JSON: json: unsupported value: NaN. Use structs with exported fields, maps with " +
			"string keys, slices, strings, numbers and booleans",
	},
	"send too much": {
		func(ctx context.Context) error {
			_, err := step.Send(ctx, "s", steplane.Event{Name: "a/b", Data: map[string]any{"a": strings.Repeat("x", 600_000)}})
			return err
		},
		new(*steplane.TooLargeError),
		"step 's': the data of event 0 has 600008 bytes; 524288 are the most. Store it elsewhere and send where",
	},
	"send too many": {
		func(ctx context.Context) error {
			_, err := step.SendMany(ctx, "s", make([]steplane.Event, 5001))
			return err
		},
		new(*steplane.TooLargeError), "step 's' sends 5001 events; 5000 are the most. Send them in several steps",
	},
	"retry policy": {
		func(ctx context.Context) error {
			_, err := step.Run(ctx, "a", returning(1), step.RunOpts{Retry: &steplane.Retry{}})
			return err
		},
		new(*steplane.ArgumentError), "Retry{Attempts: 0}: 1 to 21, the first one included",
	},
	"a race of nobody": {
		func(ctx context.Context) error {
			_, err := group.Race[any](ctx)
			return err
		},
		new(*steplane.ArgumentError), "group.Race needs a branch",
	},
	"the context of the code around a branch": {
		func(ctx context.Context) error {
			return group.Parallel(ctx, func(context.Context) (any, error) {
				return nil, step.Sleep(ctx, "s", time.Second)
			}).AnyError()
		},
		new(*steplane.ArgumentError),
		"step 's' is called in a branch of a group, with the context of the code around it: give it the context that the branch was given",
	},
	"an event that the server refuses": {
		func(ctx context.Context) error {
			_, err := step.Send(ctx, "s", steplane.Event{Name: "steplane/own"})
			return err
		},
		new(*steplane.RejectedError), "",
	},
}

func waitFor(ctx context.Context, opts step.WaitForEventOpts) error {
	_, err := step.WaitForEvent[any](ctx, "w", opts)
	return err
}

func invoke(ctx context.Context, opts step.InvokeOpts) error {
	_, err := step.Invoke[any](ctx, "i", opts)
	return err
}

func TestMisuseIsToldWhereItIsDoneAndMakesNoStep(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	found := map[string]error{}
	create(t, client, "misuse", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		for name, misuse := range misuses {
			found[name] = misuse.do(ctx)
		}
		return nil, nil
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "misuse", nil)
	house.completed(t, id)
	for name, misuse := range misuses {
		err := found[name]
		if err == nil || !errors.As(err, misuse.kind) || misuse.text != "" && misuse.text != err.Error() {
			t.Errorf("%s gives a %T: %v", name, err, err)
		}
	}
	if journal := house.journal(t, house.queued(t, id)); len(journal) != 0 {
		t.Errorf("there are steps: %v", journal)
	}
}

func TestWhatAStepReturnsHasToComeBackFromJSON(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	var bodies atomic.Int64
	create(t, client, "no-json", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return step.Run(ctx, "a", func(context.Context) (func(), error) {
			bodies.Add(1)
			return func() {}, nil
		})
	})
	create(t, client, "no-way-back", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return step.Run(ctx, "a", func(context.Context) (error, error) {
			bodies.Add(1)
			return errors.New("an interface"), nil
		})
	})
	create(t, client, "result", steplane.FunctionOpts{}, func(context.Context, steplane.Input[any]) (any, error) {
		bodies.Add(1)
		return make(chan int), nil
	})
	create(t, client, "large", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return step.Run(ctx, "a", func(context.Context) (string, error) {
			bodies.Add(1)
			return strings.Repeat("x", 5<<20), nil
		})
	})
	work(t, client, steplane.WorkerOpts{})
	for id, expected := range map[string][2]string{
		"no-json": {"NotSerializableError", "the result of step 'a#0' is not JSON: json: unsupported type: func()."},
		"no-way-back": {"NotSerializableError", "the result of step 'a#0' does not come back from JSON as a error:" +
			" json: cannot unmarshal object into Go value of type error"},
		"result": {"NotSerializableError", "the result of function 'result' is not JSON: json: unsupported type: chan int."},
		"large": {"TooLargeError", "the result of step 'a#0' has 5242882 bytes; 4194304 are the most. " +
			"Store it elsewhere and return where"},
	} {
		failure := house.failed(t, send(t, client, id, nil))
		if failure.GetName() != expected[0] || !strings.HasPrefix(failure.GetMessage(), expected[1]) {
			t.Errorf("%s failed with %s: %s", id, failure.GetName(), failure.GetMessage())
		}
	}
	if bodies.Load() != 4 {
		t.Errorf("there were %d tries", bodies.Load())
	}
}

func TestDataThatDoNotFitTheirTypeFailTheRunAtOnce(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "typed", steplane.FunctionOpts{}, func(context.Context, steplane.Input[number]) (any, error) { return nil, nil })
	work(t, client, steplane.WorkerOpts{})
	failure := house.failed(t, send(t, client, "typed", map[string]any{"n": "three"}))
	if failure.GetName() != "ArgumentError" || !strings.Contains(failure.GetMessage(), "are no steplane_test.number: json: cannot unmarshal") {
		t.Errorf("it failed with %v", failure)
	}
}

func TestAStepInTheBodyOfAStepFailsThat(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "nested", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return step.Run(ctx, "outer", func(ctx context.Context) (int, error) { return step.Run(ctx, "inner", returning(1)) })
	})
	work(t, client, steplane.WorkerOpts{})
	failure := house.failed(t, send(t, client, "nested", nil))
	expected := "step 'inner' is called inside the body of step 'outer#0'; call one after the other, or several at once by group.Parallel"
	if failure.GetName() != "NestedStepError" || failure.GetMessage() != expected {
		t.Errorf("it failed with %v", failure)
	}
}

func TestStepsAreForRuns(t *testing.T) {
	_, err := step.Run(context.Background(), "a", returning(1))
	expected := "step 'a' is called outside of a run: give it the context that the function was given"
	if err == nil || err.Error() != expected {
		t.Errorf("it gives %v", err)
	}
	if err := group.Parallel(context.Background(), returning(1)).AnyError(); err == nil {
		t.Error("a group can be called outside of a run")
	}
	if traceparent := steplane.CurrentTraceparent(context.Background()); traceparent != "" {
		t.Errorf("there is a trace context: %s", traceparent)
	}
}

func TestNothingToSendAndNobodyToCallAreNoSteps(t *testing.T) {
	house := sharedHouse(t)
	client := house.app(t)
	create(t, client, "nothing", steplane.FunctionOpts{}, func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		ids, err := step.SendMany(ctx, "send", nil)
		return len(ids) + len(group.Parallel[any](ctx)), err
	})
	work(t, client, steplane.WorkerOpts{})
	id := send(t, client, "nothing", nil)
	is(t, 0, house.completed(t, id))
	if journal := house.journal(t, house.queued(t, id)); len(journal) != 0 {
		t.Errorf("there are steps: %v", journal)
	}
}
