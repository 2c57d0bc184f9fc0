// Package fault has every error of the SDK, and what an error says: its name, its text, and about trying again.
//
// The types are shown to users by package steplane, under the same names.
package fault

import (
	"fmt"
	"time"
)

// NonRetriableError fails a step, or the function, at once.
type NonRetriableError struct {
	// Message says why; it may be empty if Err says it.
	Message string
	// Err is the cause, if there is one. A typed one gives the failure its name.
	Err error
}

func (e *NonRetriableError) Error() string { return textOf(e.Message, e.Err, "not to be tried again") }

// Unwrap gives the cause.
func (e *NonRetriableError) Unwrap() error { return e.Err }

func (e *NonRetriableError) isFinal() {}

// RetryAfterError has a step, or the function, tried again after a time.
type RetryAfterError struct {
	// Message says why; it may be empty if Err says it.
	Message string
	// Err is the cause, if there is one. A typed one gives the failure its name.
	Err error
	// After is how long to wait. The server keeps it between 1 second and 24 hours.
	After time.Duration
	// At is the moment to try again, if After is 0.
	At time.Time
}

func (e *RetryAfterError) Error() string { return textOf(e.Message, e.Err, "to be tried again") }

// Unwrap gives the cause.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// Wait tells how long to wait from now on.
func (e *RetryAfterError) Wait(now time.Time) time.Duration {
	wait := e.After
	if wait == 0 && !e.At.IsZero() {
		wait = e.At.Sub(now)
	}
	return max(wait, 0)
}

func textOf(message string, err error, otherwise string) string {
	switch {
	case err == nil && message == "":
		return otherwise
	case err == nil:
		return message
	case message == "":
		return err.Error()
	default:
		return message + ": " + err.Error()
	}
}

// StepError is returned by a step that failed for good.
type StepError struct {
	// Name is the name of the error that the step failed with last; of an invoked function, that its run failed with.
	Name string
	// Message is what that error said.
	Message string
	// Stack is its stack, for people; mostly empty in Go, where only panics have one.
	Stack string
	// StepID is the id of the step.
	StepID string
	// StepKey tells which use of that id it was.
	StepKey string
	// Reason is empty if code of yours failed: the step's own, or that of the function that it invoked. Else it says why
	// the server let it fail: CANCELLED, TIMED_OUT, FUNCTION_NOT_FOUND, SKIPPED, SET_ASIDE, SIGNAL_NOT_FOUND,
	// SIGNAL_IN_USE, SIGNAL_REPLACED, LINEAGE_TOO_DEEP.
	Reason string
}

func (e *StepError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("step %s failed: %s", Quote(e.StepID), e.Message)
	}
	return fmt.Sprintf("step %s failed: %s: %s", Quote(e.StepID), e.Name, e.Message)
}

func (e *StepError) isFinal() {}

// mistake is what the errors below have in common: a text, and that trying again is of no use.
type mistake struct{ text string }

func (e mistake) Error() string { return e.text }

func (mistake) isFinal() {}

func mistakef(format string, arguments []any) mistake {
	return mistake{fmt.Sprintf(format, arguments...)}
}

// ArgumentError says that a step, or a function, is given what it can't have.
type ArgumentError struct{ mistake }

// Argumentf makes an ArgumentError.
func Argumentf(format string, arguments ...any) error {
	return &ArgumentError{mistakef(format, arguments)}
}

// StepIDError says that a step's id can't be one.
type StepIDError struct{ mistake }

// StepIDf makes a StepIDError.
func StepIDf(format string, arguments ...any) error {
	return &StepIDError{mistakef(format, arguments)}
}

// ErrorName is its name in every language.
func (*StepIDError) ErrorName() string { return "StepIdError" }

// NonDeterminismError says that the code no longer matches what is recorded of the run.
type NonDeterminismError struct{ mistake }

// NonDeterminismf makes a NonDeterminismError.
func NonDeterminismf(format string, arguments ...any) error {
	return &NonDeterminismError{mistakef(format, arguments)}
}

// NestedStepError says that a step was called inside the body of another.
type NestedStepError struct{ mistake }

// NestedStepf makes a NestedStepError.
func NestedStepf(format string, arguments ...any) error {
	return &NestedStepError{mistakef(format, arguments)}
}

// NotSerializableError says that a value is not what JSON can carry.
type NotSerializableError struct{ mistake }

// NotSerializablef makes a NotSerializableError.
func NotSerializablef(format string, arguments ...any) error {
	return &NotSerializableError{mistakef(format, arguments)}
}

// TooLargeError says that a value is larger than the server takes.
type TooLargeError struct{ mistake }

// TooLargef makes a TooLargeError.
func TooLargef(format string, arguments ...any) error {
	return &TooLargeError{mistakef(format, arguments)}
}

// RejectedError says that the server refused a step for good, and why.
type RejectedError struct{ mistake }

// Rejectedf makes a RejectedError.
func Rejectedf(format string, arguments ...any) error {
	return &RejectedError{mistakef(format, arguments)}
}

// PanicError is a panic of a user's code: it fails the step, or the function, and never the worker.
type PanicError struct {
	// Value is what was given to panic.
	Value any
	// Stack is where that was.
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap gives the error that the code panicked with, if it was one.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
