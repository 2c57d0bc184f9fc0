package steplane

import (
	"context"

	"github.com/steplane/steplane/sdk_go/internal/run"
)

// CurrentTraceparent is the W3C trace context of the step whose body is given this context, else of the run; empty outside of
// runs. Pass it on when a step calls another service, so that its spans become children of the step's.
func CurrentTraceparent(ctx context.Context) string { return run.CurrentTraceparent(ctx) }
