package fault

import "strings"

// FieldViolation is one field of a request that is wrong, by its path, for example "events[3].name".
type FieldViolation struct{ Field, Description string }

// RequestError says that the server refused a request, or could not be asked.
type RequestError struct {
	// Message says what was refused, and why.
	Message string
	// Code is the name of gRPC's status code, for example "INVALID_ARGUMENT".
	Code string
	// Violations is what is wrong, field by field, if the request was.
	Violations []FieldViolation
	// Err is gRPC's error.
	Err error
}

func (e RequestError) Error() string {
	lines := []string{e.Message}
	for _, each := range e.Violations {
		lines = append(lines, "  "+each.Field+": "+each.Description)
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives gRPC's error.
func (e RequestError) Unwrap() error { return e.Err }

// SendError says that events, or a signal, could not be sent. None of the batch was stored, unless the code is
// DEADLINE_EXCEEDED.
//
// After that one nobody knows; to send the same events again is safe if they have ids. Of a signal nobody knows after
// UNAVAILABLE as well, since it is not sent again by itself; NOT_FOUND says that no run waits for it.
type SendError struct{ RequestError }

// RegistrationError says that the server refused the definition of a function.
type RegistrationError struct{ RequestError }
