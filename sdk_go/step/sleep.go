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

// sleepCertainMax: the server takes sleeps of up to 366 days; one that is surely shorter need not wait for its ack to be parked.
const sleepCertainMax = 365 * day

// Sleep sleeps for some time: up to 366 days. It costs neither memory nor a slot, and survives restarts. A length of less than
// nothing is 0.
func Sleep(ctx context.Context, id string, length time.Duration) error {
	if err := checkLength(id, "the length", length); err != nil {
		return err
	}
	return sleep(ctx, id, length, func(reports report.Maker, call *replay.Call) *pb.Report {
		return reports.SleepFor(call, max(length, 0))
	})
}

// SleepUntil sleeps until a moment, which is at most 366 days from now; one that is past does not sleep at all.
func SleepUntil(ctx context.Context, id string, until time.Time) error {
	if until.IsZero() {
		return fault.Argumentf("step %s: the moment to sleep until is not set", fault.Quote(id))
	}
	return sleep(ctx, id, time.Until(until), func(reports report.Maker, call *replay.Call) *pb.Report {
		return reports.SleepUntil(call, until)
	})
}

func sleep(ctx context.Context, id string, length time.Duration, started func(report.Maker, *replay.Call) *pb.Report) error {
	scope, err := scopeOf(ctx, id)
	if err != nil {
		return err
	}
	_, err = scope.Ask(ctx, id, replay.Sleep, length <= sleepCertainMax,
		func(reports report.Maker, call *replay.Call, _ limits.Limits) (*pb.Report, error) {
			return started(reports, call), nil
		})
	return err
}
