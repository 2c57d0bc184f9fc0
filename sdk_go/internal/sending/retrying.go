package sending

import (
	"context"
	"math/rand/v2"
	"regexp"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/steplane/steplane/sdk_go/internal/transport"
)

const (
	callTimeMax = 10 * time.Second
	delayFirst  = 100 * time.Millisecond
	delayMax    = 5 * time.Second
)

// notConnected is what gRPC says of a call that never left.
var notConnected = regexp.MustCompile(`(?i)error while dialing|name resolver error|produced zero addresses|no such host|handshake`)

// pauseFunc is how long to wait before the next try, and whether there should be one.
type pauseFunc func(err error, longest time.Duration) (time.Duration, bool)

// retrying calls until it succeeds, or there should be no further try, or the time is over.
func retrying(ctx context.Context, pause pauseFunc, once func(ctx context.Context) error) error {
	for longest := delayFirst; ; longest = min(2*longest, delayMax) {
		callCtx, cancel := context.WithTimeout(ctx, callTimeMax)
		err := once(callCtx)
		cancel()
		if err == nil {
			return nil
		}
		wait, isAgain := pause(err, longest)
		deadline, _ := ctx.Deadline()
		if !isAgain || ctx.Err() != nil || time.Until(deadline) <= wait {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

func pauseAfter(err error, longest time.Duration) (time.Duration, bool) {
	jitter := time.Duration(rand.Int64N(int64(longest) + 1))
	asked, hasAsked := transport.RetryDelay(err)
	switch status.Code(err) {
	// A server that stops may end a call that it has not looked at as CANCELLED.
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return asked + jitter, true
	case codes.ResourceExhausted:
		// Without RetryInfo it is a message that is too large, which is so for ever.
		return asked + jitter, hasAsked
	default:
		return 0, false
	}
}

// pauseIfNotTaken is the same for what must not be done twice: only if the server surely did not do it.
func pauseIfNotTaken(err error, longest time.Duration) (time.Duration, bool) {
	_, wasRefused := transport.RetryDelay(err)
	if wasRefused || notConnected.MatchString(status.Convert(err).Message()) {
		return pauseAfter(err, longest)
	}
	return 0, false
}
