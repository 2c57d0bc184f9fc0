package replay

// Kind is what a step does. The numbers are those of the wire.
type Kind int

// The kinds of steps.
const (
	Run Kind = iota + 1
	Sleep
	SendEvents
	WaitForEvent
	Invoke
	WaitForSignal
	SendSignal
)

// StepState is where a recorded step stands. The numbers are those of the wire.
type StepState int

// The states of a recorded step.
const (
	Pending StepState = iota + 1
	Retrying
	Completed
	Failed
)

// Failure is an error raised by a user's code, or by the server, which then gives a reason.
type Failure struct {
	Name, Message, Stack, StepKey, Reason string
}

// Entry is one recorded step.
type Entry struct {
	StepKey  string
	Kind     Kind
	State    StepState
	Output   []byte
	Encoding string
	Failure  *Failure
	Attempts int
	// IsDueLater tells whether a retry has to wait yet: without it, a step that is Retrying is to be tried now.
	IsDueLater bool
	EventIDs   []string
	// EndedAt is when it was done or failed for good, in microseconds; no two steps of a run have the same.
	EndedAt int64
}

func (e *Entry) isOver() bool { return e.State == Completed || e.State == Failed }

// AckStatus is what became of a report. The numbers are those of the wire.
type AckStatus int

// What can become of a report.
const (
	AckCommitted AckStatus = iota + 1
	AckDuplicate
	AckStaleEpoch
	AckRunEnded
	AckRejected
)
