package steplane

import (
	"time"
)

// Retry is how often and when a step, or a function, is tried again once it has failed.
//
// The waits grow from FirstDelay on: Retry{Attempts: 5, FirstDelay: time.Second} waits 1, 2, 4 and 8 seconds.
type Retry struct {
	// Attempts is how many tries there are, the first included: 1 to 21. 1 means that nothing is tried again.
	Attempts int
	// FirstDelay is how long to wait before the second try: up to 24 hours.
	FirstDelay time.Duration
	// Factor is how many times as long each further wait is: 1 or more, and 0 stands for 2. 1 makes all of them the same.
	Factor float64
	// MaxDelay bounds each wait: up to 24 hours, which 0 stands for.
	MaxDelay time.Duration
	// Jitter is added to each wait, up to so much, by chance, so that what failed together is not tried again together: up to
	// 24 hours. Nothing if 0; whoever says when, by a [RetryAfterError], gets it then.
	Jitter time.Duration
}
