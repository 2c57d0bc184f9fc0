package replay

// State is where an invocation stands.
type State int

// The states of an invocation.
const (
	// Replaying: the code walks over what is recorded.
	Replaying State = iota
	// Executing: something new happens.
	Executing
	// Parked: every branch is blocked, and the server was told: the code must not go on here.
	Parked
	// Closed: the function ended, or the invocation was taken away: the code must not go on here.
	Closed
)

// Status is where a called step stands.
type Status int

// The statuses of a called step. Those above StatusBlocked are its end.
const (
	// StatusExecute: the shell is to do it now, and to report it.
	StatusExecute Status = iota + 1
	// StatusReported: it was done; its ack is awaited.
	StatusReported
	// StatusBlocked: the server has to let time pass first.
	StatusBlocked
	StatusCompleted
	StatusFailed
	// StatusRejected: the server refused it for good.
	StatusRejected
)

// Call is one call of a step by the code, until the code has its result. Only the machine changes it, but for what is the shell's.
type Call struct {
	Key    string
	Kind   Kind
	Status Status
	// Attempts is how many tries were made before.
	Attempts int
	// Entry is the step as it is recorded, as far as that is known here.
	Entry *Entry
	// Problem is why it was rejected.
	Problem string
	// IsHeld counts as active, since a run is not parked on what can go on here.
	IsHeld bool
	// Value is the shell's: the JSON of a try that was executed here.
	Value []byte

	// Waiter is the shell's: who waits for it.
	Waiter any

	number int
}

func statusOf(entry *Entry) Status {
	switch {
	case entry.State == Completed:
		return StatusCompleted
	case entry.State == Failed:
		return StatusFailed
	case entry.State == Retrying && !entry.IsDueLater:
		return StatusExecute
	default:
		return StatusBlocked
	}
}
