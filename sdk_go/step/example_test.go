package step_test

import (
	"context"
	"errors"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

type order struct {
	ID string `json:"id"`
}

// A step with a retry policy of its own.
func ExampleRun() {
	_ = func(ctx context.Context, input steplane.Input[order]) (any, error) {
		retry := &steplane.Retry{Attempts: 5, FirstDelay: time.Second, Jitter: time.Second}
		return step.Run(ctx, "charge", func(ctx context.Context) (string, error) {
			return "charged " + input.Event.Data.ID, nil
		}, step.RunOpts{Retry: retry})
	}
}

// A wait that may be in vain.
func ExampleWaitForEvent() {
	type payment struct {
		Amount int `json:"amount"`
	}
	_ = func(ctx context.Context, input steplane.Input[order]) (any, error) {
		paid, err := step.WaitForEvent[payment](ctx, "payment", step.WaitForEventOpts{
			Event: "shop/order.paid", Match: "data.id", Timeout: 72 * time.Hour,
		})
		if errors.Is(err, step.ErrEventNotReceived) {
			return "nobody paid", nil
		}
		return paid.Data.Amount, err
	}
}

// A function of another app, in whatever language it is, with the type of what it returns.
func ExampleInvoke() {
	type price struct {
		Total int `json:"total"`
	}
	_ = func(ctx context.Context, input steplane.Input[order]) (any, error) {
		asked, err := step.Invoke[price](ctx, "price", step.InvokeOpts{
			FunctionID: "pricing/price", Data: input.Event.Data, Timeout: time.Minute,
		})
		var failed *steplane.StepError
		if errors.As(err, &failed) && failed.Reason == "TIMED_OUT" {
			return "no price today", nil
		}
		return asked.Total, err
	}
}

// A person's answer, which somebody sends by client.SendSignal.
func ExampleWaitForSignal() {
	_ = func(ctx context.Context, input steplane.Input[order]) (any, error) {
		return step.WaitForSignal[map[string]string](ctx, "approval", step.WaitForSignalOpts{
			Signal: "approve/" + input.Event.Data.ID, Timeout: 7 * 24 * time.Hour,
		})
	}
}
