package steplane

import (
	"encoding/json"
	"time"
)

// eventFailed is sent by the server when a run has failed for good.
const eventFailed = "steplane/function.failed"

// Event is something that happened, with data of any type: what is sent.
type Event = GenericEvent[any]

// GenericEvent is something that happened. T is the type of its data.
type GenericEvent[T any] struct {
	// ID is unique within the server's dedupe window: the same id again makes no second event. Made if empty.
	ID string
	// Name is what happened, for example "shop/order.created".
	Name string
	// Data is what the event tells: a struct or a map that JSON can carry as an object. Nil is sent as {}.
	Data T
	// TS is when it happened, in milliseconds; the zero time means now. A moment in the future delays the event.
	TS time.Time
	// Traceparent is the W3C trace context that it belongs to. Events of a step always get their step's.
	Traceparent string
	// Tracestate is the W3C vendor state that goes with Traceparent.
	Tracestate string
}

// wireEvent is an event as JSON has it in outputs of steps.
type wireEvent[T any] struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Data T      `json:"data"`
	TS   int64  `json:"ts"`
}

// MarshalJSON gives id, name, data, and ts in milliseconds since 1970, as in every SDK.
func (e GenericEvent[T]) MarshalJSON() ([]byte, error) {
	event := wireEvent[T]{ID: e.ID, Name: e.Name, Data: e.Data}
	if !e.TS.IsZero() {
		event.TS = e.TS.UnixMilli()
	}
	return json.Marshal(event)
}

// UnmarshalJSON reads the same.
func (e *GenericEvent[T]) UnmarshalJSON(data []byte) error {
	var event wireEvent[T]
	if err := json.Unmarshal(data, &event); err != nil {
		return err
	}
	*e = GenericEvent[T]{ID: event.ID, Name: event.Name, Data: event.Data}
	if event.TS != 0 {
		e.TS = time.UnixMilli(event.TS).UTC()
	}
	return nil
}

// FunctionFailed is what the event of a failure handler tells: a run has failed for good.
type FunctionFailed struct {
	// FunctionID is the function, with its app: "app/function".
	FunctionID string `json:"function_id"`
	// RunID is the run.
	RunID string `json:"run_id"`
	// Event is the event that started the run.
	Event Event `json:"event"`
	// Events are all events of a batch.
	Events []Event `json:"events"`
	// Error is what the run failed with.
	Error Failure `json:"error"`
}

// Failure is an error as it is recorded.
type Failure struct {
	// Name is the type of the error.
	Name string `json:"name"`
	// Message is what it said.
	Message string `json:"message"`
	// Stack is its stack, for people; mostly empty in Go, where only panics have one.
	Stack string `json:"stack"`
	// StepKey is the step that failed, if one did.
	StepKey string `json:"step_key"`
	// Reason is why the server let it fail, if it was not code: see [StepError].
	Reason string `json:"reason"`
}
