// Package group does several steps of a function at once.
//
// Goroutines and sync.WaitGroup or errgroup do as well. The branches of a group are known to the SDK: it hears at once that all of
// them wait, and gives them their results in the same order in every replay, so that the first of them is always the same.
package group

import (
	"context"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// Result is what a branch returned.
type Result[T any] struct {
	Value T
	Error error
}

// Results are what all branches returned, in their order.
type Results[T any] []Result[T]

// AnyError is the first error of a branch, in their order; nil if there is none.
func (r Results[T]) AnyError() error {
	for _, each := range r {
		if each.Error != nil {
			return each.Error
		}
	}
	return nil
}

// Parallel calls all branches at the same time, each in a goroutine of its own, and returns once all of them have. Each has to use
// the context that it is given. A panic of a branch is its error, a steplane.PanicError.
//
// Branches begin in their order, each once the one before has called its first step, or has done something else for 20 ms.
func Parallel[T any](ctx context.Context, branches ...func(ctx context.Context) (T, error)) Results[T] {
	results := make(Results[T], len(branches))
	scope, err := scopeOf(ctx)
	if err != nil {
		for index := range results {
			results[index].Error = err
		}
		return results
	}
	for index, err := range scope.Parallel(ctx, bodiesOf(branches, results)) {
		results[index].Error = err
	}
	return results
}

// Race calls all branches at the same time, and returns what the first one to return does. It is the same in every replay.
//
// The contexts of the others end then, and with them the steps at which these wait. What is recorded of them stays recorded. The
// body of a step that does not heed its context goes on for itself, and so does other code between steps: it should leave alone
// what others read.
func Race[T any](ctx context.Context, branches ...func(ctx context.Context) (T, error)) (T, error) {
	var none T
	scope, err := scopeOf(ctx)
	if err != nil {
		return none, err
	}
	if len(branches) == 0 {
		return none, fault.Argumentf("group.Race needs a branch")
	}
	results := make(Results[T], len(branches))
	first, err := scope.Race(ctx, bodiesOf(branches, results))
	if err != nil {
		return none, err
	}
	return results[first].Value, nil
}

// bodiesOf are the branches for the invocation, which keep their values in the results.
func bodiesOf[T any](branches []func(ctx context.Context) (T, error), results Results[T]) []func(ctx context.Context) error {
	bodies := make([]func(ctx context.Context) error, len(branches))
	for index, branch := range branches {
		bodies[index] = func(ctx context.Context) (err error) {
			results[index].Value, err = branch(ctx)
			return err
		}
	}
	return bodies
}

func scopeOf(ctx context.Context) (*run.Scope, error) { return run.ScopeOf(ctx, "a group") }
