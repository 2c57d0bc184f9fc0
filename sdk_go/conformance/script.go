package main

import (
	"context"
	"fmt"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/group"
)

// statement is one statement of a script: what it is, by the name of one member, and the rest.
type statement = map[string]any

// execution is that of statements in one scope.
type execution struct {
	ctx   context.Context
	runID string
	scope scope
}

// value is what a script or a branch returns.
func (e execution) value(statements []statement) (any, error) {
	value, _, err := e.all(statements)
	return value, err
}

// all executes statements until one ends the script, or the branch, with a value.
func (e execution) all(statements []statement) (value any, isEnd bool, err error) {
	for _, each := range statements {
		if value, isEnd, err = e.one(each); isEnd || err != nil {
			return value, isEnd, err
		}
	}
	return nil, false, nil
}

func (e execution) one(each statement) (value any, isEnd bool, err error) {
	switch {
	case has(each, "return"):
		return e.scope.said(each["return"]), true, nil
	case has(each, "throw"):
		return nil, false, errorOf(e.scope.said(each["throw"]).(map[string]any))
	case has(each, "try"):
		if value, isEnd, err = e.all(statementsOf(each["try"])); err == nil {
			return value, isEnd, nil
		}
		e.scope["error"] = errorValue(err)
		return e.all(statementsOf(each["catch"]))
	case has(each, "repeat"):
		for range int(e.scope.said(each["repeat"]).(float64)) {
			if value, isEnd, err = e.all(statementsOf(each["do"])); isEnd || err != nil {
				return value, isEnd, err
			}
		}
		return nil, false, nil
	case has(each, "when"):
		if isSo(e.scope.said(each["when"])) {
			return e.all(statementsOf(each["do"]))
		}
		return nil, false, nil
	}
	value, err = e.simple(each)
	if name, isSaved := each["as"].(string); isSaved && err == nil {
		e.scope[name] = value
	}
	return nil, false, err
}

// simple executes a statement that has a value.
func (e execution) simple(each statement) (any, error) {
	switch {
	case has(each, "parallel"):
		results := group.Parallel(e.ctx, e.branches(each["parallel"])...)
		values := make([]any, len(results))
		for index, result := range results {
			values[index] = result.Value
		}
		return values, results.AnyError()
	case has(each, "race"):
		return group.Race(e.ctx, e.branches(each["race"])...)
	case has(each, "run"):
		return e.run(each)
	}
	said := e.scope.said(each).(map[string]any)
	switch {
	case has(said, "pause_ms"):
		return nil, pause(e.ctx, said["pause_ms"])
	case has(said, "sleep"):
		return nil, e.sleep(said)
	case has(said, "send"):
		return e.send(said)
	case has(said, "wait"):
		return e.wait(said)
	case has(said, "invoke"):
		return e.invoke(said)
	case has(said, "wait_signal"):
		return e.waitForSignal(said)
	case has(said, "send_signal"):
		return e.sendSignal(said)
	}
	return nil, &steplane.NonRetriableError{Message: fmt.Sprintf("a statement without a known name: %v", each)}
}

func (e execution) branches(said any) []func(ctx context.Context) (any, error) {
	var branches []func(ctx context.Context) (any, error)
	for _, branch := range said.([]any) {
		inner := execution{runID: e.runID, scope: e.scope.copied()}
		branches = append(branches, func(ctx context.Context) (any, error) {
			inner.ctx = ctx
			return inner.value(statementsOf(branch))
		})
	}
	return branches
}

func statementsOf(said any) []statement {
	var statements []statement
	for _, each := range said.([]any) {
		statements = append(statements, each.(map[string]any))
	}
	return statements
}

func has(said map[string]any, name string) bool {
	_, is := said[name]
	return is
}

func isSo(value any) bool {
	switch value {
	case nil, false, 0.0, "":
		return false
	}
	return true
}
