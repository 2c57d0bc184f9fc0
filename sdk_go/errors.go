package steplane

import (
	"github.com/steplane/steplane/sdk_go/internal/fault"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// NonRetriableError fails a step, or the function, at once: it is not tried again. Return it as a pointer, with a Message, an
// Err that is the cause, or both:
//
//	return nil, &steplane.NonRetriableError{Err: err}
type NonRetriableError = fault.NonRetriableError

// RetryAfterError has a step, or the function, tried again after a time of your choice: After, a duration, or At, a moment. The
// server keeps it between 1 second and 24 hours. It has a Message, an Err that is the cause, or both:
//
//	return nil, &steplane.RetryAfterError{Err: err, After: time.Minute}
type RetryAfterError = fault.RetryAfterError

// StepError is returned by a step that failed for good. Returned by the function, it fails the run at once.
//
// Name, Message and Stack are those of the error that the step failed with last; of an invoked function, those that its run
// failed with. StepID is the id of the step, StepKey tells which use of that id it was. Reason is empty if code of yours failed:
// the step's own, or that of the function that it invoked. Else it says why the server let it fail: CANCELLED, TIMED_OUT,
// FUNCTION_NOT_FOUND, SKIPPED, SET_ASIDE, SIGNAL_NOT_FOUND, SIGNAL_IN_USE, SIGNAL_REPLACED, LINEAGE_TOO_DEEP.
//
//	var failed *steplane.StepError
//	if errors.As(err, &failed) && failed.Name == "CardDeclined" {
type StepError = fault.StepError

// PanicError is a panic of a step's or a function's code, with its Value and Stack. If that is an error, it unwraps to it.
type PanicError = fault.PanicError

// ArgumentError says that something is given what it can't have, and what would do.
type ArgumentError = fault.ArgumentError

// StepIDError says that a step's id can't be one: it has 1 to 251 bytes, and no control characters.
type StepIDError = fault.StepIDError

// NonDeterminismError says that the code no longer matches what is recorded of the run: a step is called as another kind.
type NonDeterminismError = fault.NonDeterminismError

// NestedStepError says that a step was called in the body of another.
type NestedStepError = fault.NestedStepError

// NotSerializableError says that a value is not what JSON can carry.
type NotSerializableError = fault.NotSerializableError

// TooLargeError says that a value is larger than the server takes.
type TooLargeError = fault.TooLargeError

// RejectedError says that the server refused a step for good, and why.
type RejectedError = fault.RejectedError

// RequestError is what [SendError] and [RegistrationError] have: the Message, the Code, which is the name of gRPC's status, for
// example "INVALID_ARGUMENT", and Violations, which tell what is wrong, field by field.
type RequestError = fault.RequestError

// FieldViolation is one field of a request that is wrong: the Field's path, for example "events[3].name", and a Description.
type FieldViolation = fault.FieldViolation

// SendError says that events, or a signal, could not be sent. None of the batch was stored, unless the Code is
// DEADLINE_EXCEEDED or CANCELLED.
//
// After these nobody knows; to send the same events again is safe if they have ids. Of a signal nobody knows after UNAVAILABLE
// as well, since it is not sent again by itself; NOT_FOUND says that no run waits for it.
type SendError = fault.SendError

// RegistrationError says that the server refused the definition of a function: [Worker.Run] and [Worker.Serve] end with it.
type RegistrationError = fault.RegistrationError

// Why a function's context ends before the function does, as [context.Cause] tells.
var (
	// ErrParked says that the run is parked: it goes on in another call.
	ErrParked = run.ErrParked
	// ErrTakenAway says that the run was cancelled, or given to another worker.
	ErrTakenAway = run.ErrTakenAway
	// ErrRaceLost says that another branch of group.Race won.
	ErrRaceLost = run.ErrRaceLost
)
