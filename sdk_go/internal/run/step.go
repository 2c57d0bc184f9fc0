package run

import (
	"context"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
)

// Execute is a step that executes code. Its body gives the result as JSON; policy is the step's own, if it has one. The result
// is what is recorded; nil if the body was executed here, and what it gave last is recorded.
func (s *Scope) Execute(
	ctx context.Context, stepID string, policy *pb.RetryPolicy, body func(ctx context.Context, key string) ([]byte, error),
) (*replay.Entry, error) {
	call, status, err := s.begin(ctx, stepID, replay.Run)
	if err != nil {
		return nil, err
	}
	defer s.leave(call)
	for status <= replay.StatusBlocked {
		var outcome *pb.Report
		// Without that, a process that was frozen would do again what others did meanwhile.
		if status == replay.StatusExecute && s.isSure() {
			outcome = s.try(ctx, call, policy, body)
		}
		if status, err = s.settle(call, outcome, false); err != nil {
			return nil, err
		}
	}
	return resultOf(call)
}

// Ask is a step that the server does: it is told once, and says what comes of it, now or later. If there is nothing to report,
// there is no step.
func (s *Scope) Ask(
	ctx context.Context, stepID string, kind replay.Kind, isCertain bool,
	report func(reports report.Maker, call *replay.Call, limits limits.Limits) (*pb.Report, error),
) (*replay.Entry, error) {
	call, status, err := s.begin(ctx, stepID, kind)
	if err != nil {
		return nil, err
	}
	defer s.leave(call)
	var request *pb.Report
	if i := s.invocation; status == replay.StatusExecute {
		if request, err = report(i.reports, call, i.owner.Limits()); request == nil || err != nil {
			return nil, err
		}
	}
	if status <= replay.StatusBlocked {
		if _, err := s.settle(call, request, isCertain); err != nil {
			return nil, err
		}
	}
	return resultOf(call)
}

// try executes a body once; the result is its report.
func (s *Scope) try(
	ctx context.Context, call *replay.Call, policy *pb.RetryPolicy, body func(ctx context.Context, key string) ([]byte, error),
) *pb.Report {
	i, start := s.invocation, time.Now()
	data, err := guarded(func() ([]byte, error) { return body(s.inBody(ctx, call), call.Key) })
	if err == nil {
		err = i.owner.Limits().CheckOutput(data, "step", call.Key)
	}
	if err == nil {
		return i.reports.StepCompleted(call, data, start)
	}
	if ctx.Err() == nil {
		i.logger.Warn("a step failed", "run_id", i.Lease.RunID, "step", call.Key, "try", call.Attempts+1, "error", err)
	}
	return i.reports.StepFailed(call, err, policy, start)
}

// isSure tells whether nobody else was given the run.
func (s *Scope) isSure() bool { return s.invocation.owner.IsSure(s.invocation.Lease) }

func guarded(body func() ([]byte, error)) (data []byte, err error) {
	defer func() {
		if raised := recover(); raised != nil {
			err = panicked(raised)
		}
	}()
	return body()
}

func resultOf(call *replay.Call) (*replay.Entry, error) {
	switch call.Status {
	case replay.StatusCompleted:
		return call.Entry, nil
	case replay.StatusRejected:
		return nil, fault.Rejectedf("the server refused step %s: %s", fault.Quote(call.Key), call.Problem)
	}
	failed := &fault.StepError{StepID: replay.StepID(call.Key), StepKey: call.Key}
	if entry := call.Entry; entry != nil && entry.Failure != nil {
		failed.Name, failed.Message = entry.Failure.Name, entry.Failure.Message
		failed.Stack, failed.Reason = entry.Failure.Stack, entry.Failure.Reason
	}
	return nil, failed
}
