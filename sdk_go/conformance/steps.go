package main

import (
	"context"
	"errors"
	"sync"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

// executions is how often this process executed the body of a step: by its run, and its trace context, which no other step of it
// has.
var executions struct {
	sync.Mutex
	counts map[string]int
}

func (e execution) run(each statement) (any, error) {
	rest := statement{}
	for name, value := range each {
		if name != "body" {
			rest[name] = value
		}
	}
	said := e.scope.said(rest).(map[string]any)
	var opts step.RunOpts
	if retry, has := said["retry"].(map[string]any); has {
		scripted := scriptedRetry{int(retry["attempts"].(float64)), retry["first_delay_ms"].(float64), retry["factor"].(float64)}
		opts.Retry = scripted.policy()
	}
	return step.Run(e.ctx, said["run"].(string), func(ctx context.Context) (any, error) {
		if body, has := each["body"]; has {
			return execution{ctx, e.runID, e.scope}.value(statementsOf(body))
		}
		return e.body(ctx, said)
	}, opts)
}

func (e execution) body(ctx context.Context, said map[string]any) (any, error) {
	executions.Lock()
	if executions.counts == nil {
		executions.counts = map[string]int{}
	}
	key := e.runID + "/" + steplane.CurrentTraceparent(ctx)
	number := executions.counts[key]
	executions.counts[key]++
	executions.Unlock()
	if failures, _ := said["fails"].([]any); number < len(failures) && failures[number] != nil {
		return nil, errorOf(failures[number].(map[string]any))
	}
	if err := pause(ctx, said["takes_ms"]); err != nil {
		return nil, err
	}
	if blocks, has := said["blocks_ms"].(float64); has {
		for end := time.Now().Add(milliseconds(blocks)); time.Now().Before(end); {
			continue // it is to keep its thread
		}
	}
	if said["unserializable"] == true {
		return make(chan int), nil
	}
	return said["returns"], nil
}

func (e execution) sleep(said map[string]any) error {
	id := said["sleep"].(string)
	if until, has := said["until"].(string); has {
		moment, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return err
		}
		return step.SleepUntil(e.ctx, id, moment)
	}
	return step.Sleep(e.ctx, id, milliseconds(said["ms"].(float64)))
}

func (e execution) send(said map[string]any) (any, error) {
	var events []steplane.Event
	for _, each := range said["events"].([]any) {
		given := each.(map[string]any)
		event := steplane.Event{Name: given["name"].(string), Data: given["data"]}
		event.ID, _ = given["id"].(string)
		if ts, has := given["ts"].(float64); has {
			event.TS = time.UnixMilli(int64(ts))
		}
		events = append(events, event)
	}
	ids, err := step.SendMany(e.ctx, said["send"].(string), events)
	list := make([]any, len(ids))
	for index, id := range ids {
		list[index] = id
	}
	return list, err
}

func (e execution) wait(said map[string]any) (any, error) {
	waited := []step.WaitedEvent{}
	for _, each := range said["events"].([]any) {
		given := each.(map[string]any)
		event := step.WaitedEvent{Event: given["event"].(string)}
		event.Match, _ = given["match"].(string)
		event.If, _ = given["expression"].(string)
		waited = append(waited, event)
	}
	id, timeout := said["wait"].(string), timeoutOf(said)
	sinceRun, _ := said["since_run"].(bool)
	if said["all_of"] == true {
		opts := step.WaitForEventsOpts{AllOf: waited, Timeout: timeout, SinceRun: sinceRun}
		events, err := step.WaitForEvents[any](e.ctx, id, opts)
		if err != nil {
			return nil, unless(err, step.ErrEventNotReceived)
		}
		values := make([]any, len(events))
		for index, event := range events {
			values[index] = eventValue(event)
		}
		return values, nil
	}
	event, err := step.WaitForEvent[any](e.ctx, id, step.WaitForEventOpts{AnyOf: waited, Timeout: timeout, SinceRun: sinceRun})
	if err != nil {
		return nil, unless(err, step.ErrEventNotReceived)
	}
	return eventValue(event), nil
}

func (e execution) invoke(said map[string]any) (any, error) {
	opts := step.InvokeOpts{FunctionID: said["function"].(string), Data: said["data"], Timeout: timeoutOf(said)}
	return step.Invoke[any](e.ctx, said["invoke"].(string), opts)
}

func (e execution) waitForSignal(said map[string]any) (any, error) {
	opts := step.WaitForSignalOpts{Signal: said["signal"].(string), Timeout: timeoutOf(said)}
	if conflict, has := said["on_conflict"].(string); has {
		opts.OnConflict = step.SignalConflict(conflict)
	}
	data, err := step.WaitForSignal[any](e.ctx, said["wait_signal"].(string), opts)
	return data, unless(err, step.ErrSignalNotReceived)
}

func (e execution) sendSignal(said map[string]any) (any, error) {
	return step.SendSignal(e.ctx, said["send_signal"].(string), said["signal"].(string), said["data"])
}

func timeoutOf(said map[string]any) time.Duration {
	timeout, _ := said["timeout_ms"].(float64)
	return milliseconds(timeout)
}

// pause takes so many milliseconds, if any, and ends early when its context does.
func pause(ctx context.Context, length any) error {
	number, has := length.(float64)
	if !has {
		return nil
	}
	select {
	case <-time.After(milliseconds(number)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unless is an error, but nil for one that tells no more than that nothing came.
func unless(err, nothing error) error {
	if errors.Is(err, nothing) {
		return nil
	}
	return err
}
