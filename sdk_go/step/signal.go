package step

import (
	"context"
	"time"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/limits"
	"github.com/steplane/steplane/sdk_go/internal/replay"
	"github.com/steplane/steplane/sdk_go/internal/report"
)

// ErrSignalNotReceived is what [WaitForSignal] gives once its time-out has passed. A signal without data can't be told from that.
var ErrSignalNotReceived error = &fault.NonRetriableError{Message: "the signal was not received in time"}

// SignalConflict is what becomes of a wait for a signal that another step waits for already.
type SignalConflict string

// What can become of it: this step fails, or replaces the other one, which then fails.
const (
	SignalConflictFail    SignalConflict = "fail"
	SignalConflictReplace SignalConflict = "replace"
)

// WaitForSignalOpts say which signal [WaitForSignal] waits for.
type WaitForSignalOpts struct {
	// Signal is its name, unique in the namespace: it should have something of its own, for example "approve/" + orderID.
	Signal string
	// Timeout is how long: up to 366 days, which 0 stands for.
	Timeout time.Duration
	// OnConflict is what happens if another step waits for it; [SignalConflictFail] if empty.
	OnConflict SignalConflict
}

// WaitForSignal waits for a signal, and returns its data, as a T. [ErrSignalNotReceived] says that the time-out has passed.
//
// One step only can wait for a signal. If another one waits for it, this step fails, or replaces that one, which then fails: both
// with a [steplane.StepError], whose Reason is SIGNAL_IN_USE or SIGNAL_REPLACED.
func WaitForSignal[T any](ctx context.Context, id string, opts WaitForSignalOpts) (T, error) {
	var none T
	entry, err := ask(ctx, id, replay.WaitForSignal,
		func(reports report.Maker, call *replay.Call, _ limits.Limits) (*pb.Report, error) {
			wait, err := opts.started(id)
			if err != nil {
				return nil, err
			}
			return reports.SignalWaitStarted(call, wait), nil
		})
	if err != nil {
		return none, err
	}
	if isNull(entry) {
		return none, ErrSignalNotReceived
	}
	return decoded[T](entry)
}

// SendSignal sends a signal, with a value for JSON, to the run that waits for it, exactly once, and returns that run's id.
//
// It gives a [steplane.StepError] with the Reason SIGNAL_NOT_FOUND if no run waits for it.
func SendSignal(ctx context.Context, id, signal string, data any) (string, error) {
	entry, err := ask(ctx, id, replay.SendSignal,
		func(reports report.Maker, call *replay.Call, limits limits.Limits) (*pb.Report, error) {
			if err := checkName(id, "the signal", signal); err != nil {
				return nil, err
			}
			carried, err := payload(id, data, limits)
			if err != nil {
				return nil, err
			}
			return reports.SignalSent(call, &pb.SignalSent{Signal: signal, Data: carried}), nil
		})
	if err != nil {
		return "", err
	}
	return decoded[string](entry)
}

func (o WaitForSignalOpts) started(id string) (*pb.SignalWaitStarted, error) {
	if err := checkName(id, "Signal", o.Signal); err != nil {
		return nil, err
	}
	length, err := timeout(id, o.Timeout)
	if err != nil {
		return nil, err
	}
	wait := &pb.SignalWaitStarted{Signal: o.Signal, Timeout: length, OnConflict: pb.SignalConflict_SIGNAL_CONFLICT_FAIL}
	switch o.OnConflict {
	case "", SignalConflictFail:
	case SignalConflictReplace:
		wait.OnConflict = pb.SignalConflict_SIGNAL_CONFLICT_REPLACE
	default:
		return nil, fault.Argumentf("step %s: OnConflict is 'fail' or 'replace', not %s",
			fault.Quote(id), fault.Quote(string(o.OnConflict)))
	}
	return wait, nil
}
