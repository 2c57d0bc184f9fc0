package run

import (
	"context"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	"github.com/steplane/steplane/sdk_go/internal/replay"
)

type scopeKey struct{}

// Scope is where code runs: in a branch of an invocation, or in the body of one of its steps.
type Scope struct {
	*Invocation
	branch *branch
	body   *replay.Call
}

// ScopeOf gives the scope of a context, or nil outside of runs.
func ScopeOf(ctx context.Context) *Scope {
	scope, _ := ctx.Value(scopeKey{}).(*Scope)
	return scope
}

// StepScope gives the scope in which a step is called, or an error if no step can be called there.
func StepScope(ctx context.Context, stepID string) (*Scope, error) {
	scope := ScopeOf(ctx)
	if scope == nil {
		return nil, fault.Argumentf("step %s is called outside of a run: give it the context that the function was given",
			fault.Quote(stepID))
	}
	if scope.body != nil {
		return nil, fault.NestedStepf("step %s is called inside the body of step %s; call one after the other, "+
			"or several at once by group.Parallel or goroutines", fault.Quote(stepID), fault.Quote(scope.body.Key))
	}
	return scope, nil
}

// Body is a context for the body of a step.
func (s *Scope) Body(ctx context.Context, call *replay.Call) context.Context {
	return context.WithValue(ctx, scopeKey{}, &Scope{Invocation: s.Invocation, branch: s.branch, body: call})
}

// CurrentTraceparent is the trace context of the step whose body this is, else of the run; empty outside of runs.
func CurrentTraceparent(ctx context.Context) string {
	scope := ScopeOf(ctx)
	if scope == nil {
		return ""
	}
	parent, runID := scope.machine.Traceparent, scope.machine.RunID
	if scope.body == nil {
		return parent
	}
	return replay.ChildTraceparent(parent, replay.StepSpanID(runID, scope.body.Key))
}

func (b *branch) context(parent context.Context) context.Context {
	return context.WithValue(parent, scopeKey{}, &Scope{Invocation: b.invocation, branch: b})
}
