package steplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

// A whole program: a function with two steps, and the worker that serves it.
func Example() {
	type Order struct {
		ID     string `json:"id"`
		Amount int    `json:"amount"`
	}
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = steplane.CreateFunction(
		client,
		steplane.FunctionOpts{ID: "fulfil", Concurrency: []steplane.Concurrency{{Limit: 10}}},
		steplane.EventTrigger("shop/order.created", steplane.StrPtr("event.data.amount > 0")),
		func(ctx context.Context, input steplane.Input[Order]) (any, error) {
			receipt, err := step.Run(ctx, "charge", func(ctx context.Context) (string, error) {
				return fmt.Sprintf("charged %d", input.Event.Data.Amount), nil
			})
			if err != nil {
				return nil, err
			}
			return step.Send(ctx, "announce", steplane.Event{
				Name: "shop/order.paid", Data: map[string]any{"receipt": receipt},
			})
		},
	)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Serve(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// An error that knows whether, and when, it makes sense to try again.
func ExampleRetryAfterError() {
	charge := func(ctx context.Context) (string, error) {
		receipt, err := "", error(&net.OpError{Op: "dial", Err: errors.New("refused")})
		var unreachable *net.OpError
		if errors.As(err, &unreachable) {
			return "", &steplane.RetryAfterError{Err: err, After: time.Minute}
		}
		return receipt, err
	}
	_, err := charge(context.Background())
	fmt.Println(err)
	// Output: dial: refused
}

// A failure handler is a function as well. It is told of the run that failed.
func ExampleFunctionFailed() {
	opts := steplane.FunctionOpts{
		ID: "fulfil",
		OnFailure: func(ctx context.Context, input steplane.Input[steplane.FunctionFailed]) (any, error) {
			failed := input.Event.Data
			return step.Run(ctx, "tell-somebody", func(context.Context) (string, error) {
				return fmt.Sprintf("%s: %s", failed.FunctionID, failed.Error.Message), nil
			})
		},
	}
	fmt.Println(opts.ID)
}

// Events are the same JSON in all languages.
func ExampleGenericEvent() {
	event := steplane.GenericEvent[map[string]int]{
		ID: "e1", Name: "shop/order.created", Data: map[string]int{"amount": 12}, TS: time.UnixMilli(1_700_000_000_000),
	}
	text, err := json.Marshal(event)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output: {"id":"e1","name":"shop/order.created","data":{"amount":12},"ts":1700000000000}
}
