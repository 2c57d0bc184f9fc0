// The Go worker under test: serves the functions of a file, as conformance/README.md says, until SIGTERM.
//
//	STEPLANE_ADDRESS=127.0.0.1:7100 STEPLANE_SCRIPTS=scripts.json conformance
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
)

// scripts is the file.
type scripts struct {
	AppID     string             `json:"app_id"`
	Slots     int                `json:"slots"`
	Functions []scriptedFunction `json:"functions"`
}

type scriptedFunction struct {
	ID       string            `json:"id"`
	Triggers []scriptedTrigger `json:"triggers"`
	Retries  *int              `json:"retries"`
	Retry    *scriptedRetry    `json:"retry"`
	Script   []statement       `json:"script"`
}

type scriptedTrigger struct {
	Event      string  `json:"event"`
	Expression *string `json:"expression"`
	Cron       string  `json:"cron"`
	TimeZone   string  `json:"tz"`
}

type scriptedRetry struct {
	Attempts     int     `json:"attempts"`
	FirstDelayMs float64 `json:"first_delay_ms"`
	Factor       float64 `json:"factor"`
}

func main() {
	if err := serve(os.Getenv("STEPLANE_SCRIPTS")); err != nil {
		log.Fatal(err)
	}
}

func serve(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var read scripts
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: read.AppID})
	if err != nil {
		return err
	}
	for _, function := range read.Functions {
		if err := function.create(client); err != nil {
			return err
		}
	}
	return client.Serve(context.Background(), steplane.WorkerOpts{Slots: read.Slots})
}

func (f scriptedFunction) create(client steplane.Client) error {
	var triggers []steplane.Trigger
	for _, each := range f.Triggers {
		if each.Cron != "" {
			triggers = append(triggers, steplane.CronTriggerIn(each.TimeZone, each.Cron))
		} else {
			triggers = append(triggers, steplane.EventTrigger(each.Event, each.Expression))
		}
	}
	_, err := steplane.CreateFunction(
		client,
		steplane.FunctionOpts{ID: f.ID, Retries: f.Retries, Retry: f.Retry.policy()},
		steplane.Triggers(triggers...),
		func(ctx context.Context, input steplane.Input[any]) (any, error) {
			return execution{ctx, input.RunID, scopeOf(input)}.value(f.Script)
		},
	)
	return err
}

func (r *scriptedRetry) policy() *steplane.Retry {
	if r == nil {
		return nil
	}
	return &steplane.Retry{Attempts: r.Attempts, FirstDelay: milliseconds(r.FirstDelayMs), Factor: r.Factor}
}

func milliseconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Millisecond))
}
