package steplane

import "time"

// A function's flow control: when its runs start, how many there are, and what ends them. The server checks it when a worker
// connects.
//
// A Key is a CEL expression over event, for example "event.data.user_id": the control works for each of its values on its own,
// or for all events together if it is empty. A key that gives false or null switches the control off for that event.

// Batch has one run for many events, which it has as Events. Not together with Debounce, Singleton, Priority or Cancel.
type Batch struct {
	// MaxSize is how many events start a run at once: 2 to 100. A batch of 4 MiB is full as well.
	MaxSize int
	// Timeout is how long the first event of a batch waits at the most: 1 second to 7 days.
	Timeout time.Duration
	// Key has a batch for each value of this expression over event; one for all if empty.
	Key string
	// If is a CEL expression over event: one for which it is not true starts a run of its own at once. Always, if empty.
	If string
}

// Cancel is an event that cancels runs: those that wait at once; the context of one that is live ends.
type Cancel struct {
	// Event is the event's name; a "*" at its end matches any rest.
	Event string
	// Match is a path, for example "data.user_id", that has to have the same value in the event that started the run and in
	// this one.
	Match string
	// If is a CEL expression over event, which started the run, and async, which is this one, that has to be true. Not together
	// with Match.
	If string
	// Timeout is for how long after its start a run can be cancelled so: up to 366 days, which 0 stands for.
	Timeout time.Duration
}

// Concurrency bounds how many run at once. The rest waits, in order.
type Concurrency struct {
	// Limit is how many: 1 to 100,000.
	Limit int
	// Key has a limit for each value of this expression over event; one for all if empty.
	Key string
	// Scope is who shares the limit; [ScopeFunction] if empty.
	Scope ConcurrencyScope
	// Hold is what counts; [HoldInvocation] if empty.
	Hold ConcurrencyHold
}

// ConcurrencyScope is who shares a [Concurrency]: all that name the same key with this scope.
type ConcurrencyScope string

// Who can share a limit.
const (
	ScopeFunction  ConcurrencyScope = "fn"
	ScopeApp       ConcurrencyScope = "app"
	ScopeNamespace ConcurrencyScope = "namespace"
)

// ConcurrencyHold is what counts for a [Concurrency].
type ConcurrencyHold string

// What can count: runs that are live, so that one that sleeps or waits does not, or whole runs from start to end.
const (
	HoldInvocation ConcurrencyHold = "invocation"
	HoldRun        ConcurrencyHold = "run"
)

// Debounce has one run, with the newest event, once events have been quiet for a while.
type Debounce struct {
	// Period is how long it has to be quiet: 1 second to 7 days.
	Period time.Duration
	// Key has each value of this expression over event on its own; all together if empty.
	Key string
	// Timeout is how long the first event waits at the most: up to 366 days; for ever if 0.
	Timeout time.Duration
}

// Priority moves a run in the queue of its function.
type Priority struct {
	// Run is a CEL expression over event that gives seconds, -600 to 600: how much earlier the run counts as queued.
	Run string
}

// RateLimit bounds how many runs start in any period. What is beyond it is skipped, which is recorded.
type RateLimit struct {
	// Limit is how many: 1 to 1,000.
	Limit int
	// Period is 1 second to 24 hours.
	Period time.Duration
	// Key has a limit for each value of this expression over event; one for all if empty.
	Key string
}

// Singleton has one run at a time, be it queued, live or waiting.
type Singleton struct {
	// Key has one for each value of this expression over event; one for all if empty.
	Key string
	// Mode is what becomes of a second one; [SingletonSkip] if empty.
	Mode SingletonMode
}

// SingletonMode is what becomes of the second run of a [Singleton].
type SingletonMode string

// What can become of it: it is skipped, or takes the place of the first, which is cancelled.
const (
	SingletonSkip   SingletonMode = "skip"
	SingletonCancel SingletonMode = "cancel"
)

// Throttle bounds how many runs start in a period, at an even flow. The rest waits, in order.
type Throttle struct {
	// Limit is how many: 1 to 100,000.
	Limit int
	// Period is 1 second to 7 days.
	Period time.Duration
	// Burst is how many may start at once beyond an even flow: up to the limit; the server's default, which is 1, if 0.
	Burst int
	// Key has a limit for each value of this expression over event; one for all if empty.
	Key string
}

// Timeouts cancel a run that takes too long.
type Timeouts struct {
	// Start is how long a run may be queued before it first starts: 1 second to 366 days; for ever if 0.
	Start time.Duration
	// Finish is how long it may take from its first start to its end: 1 second to 366 days; for ever if 0.
	Finish time.Duration
}
