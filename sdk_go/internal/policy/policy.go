// Package policy says how often and when something that failed is tried again, as the wire has it.
package policy

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/steplane/steplane/sdk_go/internal/fault"
	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
)

const (
	attemptsMax   = 21
	delayMax      = 24 * time.Hour
	defaultFactor = 2
)

// Retry is a retry policy: the fields are those of package steplane's.
type Retry struct {
	Attempts   int
	FirstDelay time.Duration
	Factor     float64
	MaxDelay   time.Duration
	Jitter     time.Duration
}

// Of writes each wait of a policy down, or gives an ArgumentError.
func Of(retry Retry) (*pb.RetryPolicy, error) {
	if err := check(retry); err != nil {
		return nil, err
	}
	retries := uint32(retry.Attempts - 1)
	policy := &pb.RetryPolicy{Retries: &retries, Jitter: durationpb.New(retry.Jitter)}
	longest, factor := delayMax, retry.Factor
	if retry.MaxDelay > 0 {
		longest = retry.MaxDelay
	}
	if factor == 0 {
		factor = defaultFactor
	}
	delay := retry.FirstDelay.Seconds()
	for range retries {
		policy.Delays = append(policy.Delays, durationpb.New(time.Duration(delay*float64(time.Second)).Round(time.Microsecond)))
		delay = min(delay*factor, longest.Seconds())
	}
	return policy, nil
}

func check(retry Retry) error {
	if retry.Attempts < 1 || retry.Attempts > attemptsMax {
		return fault.Argumentf("Retry{Attempts: %d}: 1 to %d, the first one included", retry.Attempts, attemptsMax)
	}
	if retry.Factor != 0 && (retry.Factor < 1 || math.IsInf(retry.Factor, 0) || math.IsNaN(retry.Factor)) {
		return fault.Argumentf("Retry{Factor: %g}: 1 or more; 1 makes all waits the same, 0 stands for 2", retry.Factor)
	}
	for _, delay := range []struct {
		name   string
		length time.Duration
	}{{"FirstDelay", retry.FirstDelay}, {"MaxDelay", retry.MaxDelay}, {"Jitter", retry.Jitter}} {
		if delay.length < 0 || delay.length > delayMax {
			return fault.Argumentf("Retry{%s: %s}: it has to be from 0 to 24 hours", delay.name, delay.length)
		}
	}
	if retry.MaxDelay > 0 && retry.MaxDelay < retry.FirstDelay {
		return fault.Argumentf("Retry{MaxDelay: %s}: it is less than FirstDelay, which is %s", retry.MaxDelay, retry.FirstDelay)
	}
	return nil
}
