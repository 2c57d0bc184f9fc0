package group_test

import (
	"context"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/group"
	"github.com/steplane/steplane/sdk_go/step"
)

func ask(shop string) func(ctx context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		return step.Run(ctx, "ask-"+shop, func(context.Context) (int, error) { return len(shop), nil })
	}
}

// Two steps at once, each tried again on its own.
func ExampleParallel() {
	_ = func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		prices := group.Parallel(ctx, ask("here"), ask("there"))
		if err := prices.AnyError(); err != nil {
			return nil, err
		}
		return min(prices[0].Value, prices[1].Value), nil
	}
}

// An answer, or the end of patience.
func ExampleRace() {
	_ = func(ctx context.Context, _ steplane.Input[any]) (any, error) {
		return group.Race(ctx, ask("here"), func(ctx context.Context) (int, error) {
			return 0, step.Sleep(ctx, "patience", time.Minute)
		})
	}
}
