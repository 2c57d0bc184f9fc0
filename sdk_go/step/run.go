package step

import (
	"context"
	"encoding/json"
	"reflect"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/internal/codec"
	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/policy"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// RunOpts say more about a step that [Run] runs.
type RunOpts struct {
	// Retry is how the step is tried again; as its function is, if nil.
	Retry *steplane.Retry
}

// Run runs body once: what it returns is recorded, and returned whenever the function is called again.
//
// If it gives an error, or panics, it is tried again, as the options say, else as its function does; once it has failed for good,
// Run gives a [steplane.StepError]. What it returns has to be JSON, and comes back as JSON has it: numbers in an any are float64.
// The context that body is given can't be used for other steps.
func Run[T any](ctx context.Context, id string, body func(ctx context.Context) (T, error), opts ...RunOpts) (T, error) {
	var result T
	scope, err := scopeOf(ctx, id)
	if err != nil {
		return result, err
	}
	retries, err := policyOf(id, opts)
	if err != nil {
		return result, err
	}
	entry, err := scope.Execute(ctx, id, retries, func(ctx context.Context, key string) ([]byte, error) {
		value, err := body(ctx)
		if err != nil {
			return nil, err
		}
		data, err := codec.Encode(value, "the result of step", key)
		if err != nil {
			return nil, err
		}
		var back T
		if err := json.Unmarshal(data, &back); err != nil {
			return nil, fault.NotSerializablef("the result of step %s does not come back from JSON as a %s: %v",
				fault.Quote(key), reflect.TypeFor[T](), err)
		}
		result = back
		return data, nil
	})
	if err != nil {
		var none T
		return none, err
	}
	if entry == nil {
		return result, nil
	}
	return decoded[T](entry)
}

func policyOf(id string, opts []RunOpts) (*pb.RetryPolicy, error) {
	if len(opts) > 1 {
		return nil, fault.Argumentf("step %s: Run takes the options of one step, not of %d", fault.Quote(id), len(opts))
	}
	if len(opts) == 0 || opts[0].Retry == nil {
		return nil, nil
	}
	return policy.Of(policy.Retry(*opts[0].Retry))
}

func scopeOf(ctx context.Context, id string) (*run.Scope, error) {
	return run.ScopeOf(ctx, "step "+fault.Quote(id))
}

// decoded is what a step is recorded to have come to.
func decoded[T any](entry *replay.Entry) (T, error) {
	var result T
	if err := codec.Decode(entry.Output, entry.Encoding, &result); err != nil {
		return result, fault.Argumentf("what is recorded of step %s is no %s: %v",
			fault.Quote(entry.StepKey), reflect.TypeFor[T](), err)
	}
	return result, nil
}
