package run

import (
	"context"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

type scopeKey struct{}

// Scope is where code runs: in a branch of an invocation, or in the body of one of its steps.
type Scope struct {
	invocation *Invocation
	branch     *branch
	body       *replay.Call
}

// ScopeOf gives the scope of a context in which steps can be called, or an error. What is what asks: it begins the error's text.
func ScopeOf(ctx context.Context, what string) (*Scope, error) {
	scope, isIn := ctx.Value(scopeKey{}).(*Scope)
	if !isIn {
		return nil, fault.Argumentf("%s is called outside of a run: give it the context that the function was given", what)
	}
	if scope.body != nil {
		return nil, fault.NestedStepf("%s is called inside the body of step %s; call one after the other, "+
			"or several at once by group.Parallel", what, fault.Quote(scope.body.Key))
	}
	return scope, nil
}

// inBody is a context for the body of a step.
func (s *Scope) inBody(ctx context.Context, call *replay.Call) context.Context {
	return context.WithValue(ctx, scopeKey{}, &Scope{invocation: s.invocation, branch: s.branch, body: call})
}

// CurrentTraceparent is the trace context of the step whose body this is, else of the run; empty outside of runs.
func CurrentTraceparent(ctx context.Context) string {
	scope, isIn := ctx.Value(scopeKey{}).(*Scope)
	if !isIn {
		return ""
	}
	parent, runID := scope.invocation.machine.Traceparent, scope.invocation.machine.RunID
	if scope.body == nil {
		return parent
	}
	return replay.ChildTraceparent(parent, replay.StepSpanID(runID, scope.body.Key))
}
