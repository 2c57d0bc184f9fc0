package main

import (
	"errors"
	"time"

	steplane "github.com/steplane/steplane/sdk_go"
	"github.com/steplane/steplane/sdk_go/internal/fault"
)

// failure is an error that the SDK reports by its name.
type failure struct{ name, message string }

func (f *failure) Error() string     { return f.message }
func (f *failure) ErrorName() string { return f.name }

// errorOf is an error of a script.
func errorOf(said map[string]any) error {
	name, isNamed := said["name"].(string)
	message, _ := said["message"].(string)
	var cause error = &failure{name, message}
	switch retry := said["retry"].(type) {
	case string:
		if !isNamed {
			return &steplane.NonRetriableError{Message: message}
		}
		return &steplane.NonRetriableError{Err: cause}
	case map[string]any:
		after := time.Duration(retry["after_ms"].(float64)) * time.Millisecond
		if !isNamed {
			return &steplane.RetryAfterError{Message: message, After: after}
		}
		return &steplane.RetryAfterError{Err: cause, After: after}
	}
	if !isNamed {
		return errors.New(message)
	}
	return cause
}

// errorValue is an error as scripts see it once it is caught.
func errorValue(err error) any {
	value := map[string]any{"name": fault.NameOf(err), "message": fault.Text(err), "reason": "", "step_id": ""}
	var failed *steplane.StepError
	if errors.As(err, &failed) {
		value["reason"], value["step_id"] = failed.Reason, failed.StepID
	}
	return value
}
