// The Go worker that is measured: `worker ADDRESS SLOTS`.
package main

import (
	"context"
	"log"
	"os"
	"strconv"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/step"
)

type number struct {
	I int `json:"i"`
}

func main() {
	slots, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	client, err := steplane.NewClient(steplane.ClientOpts{AppID: "bench", Address: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	_, err = steplane.CreateFunction(
		client, steplane.FunctionOpts{ID: "two-steps"}, steplane.EventTrigger("bench/two", nil), twoSteps)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Serve(context.Background(), steplane.WorkerOpts{Slots: slots}); err != nil {
		log.Fatal(err)
	}
}

// twoSteps is the least that is durable: two steps, each acknowledged before the next.
func twoSteps(ctx context.Context, input steplane.Input[number]) (any, error) {
	i := input.Event.Data.I
	a, err := step.Run(ctx, "first", func(context.Context) (map[string]int, error) {
		return map[string]int{"a": i}, nil
	})
	if err != nil {
		return nil, err
	}
	b, err := step.Run(ctx, "second", func(context.Context) (map[string]int, error) {
		return map[string]int{"b": i + 1}, nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]int{"a": a["a"], "b": b["b"]}, nil
}
